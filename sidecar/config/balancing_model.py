"""How a cluster picks hosts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class LbPolicy(Enum):
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    RING_HASH = "RING_HASH"
    MAGLEV = "MAGLEV"
    CLUSTER_PROVIDED = "CLUSTER_PROVIDED"


# The policies that send equal keys to one host.
HASHING: Final = frozenset((LbPolicy.RING_HASH, LbPolicy.MAGLEV))


@dataclass(frozen=True, slots=True)
class Hashing:
    """How RING_HASH and MAGLEV lay out their tables; Envoy's defaults."""

    min_ring_size: int = 1024
    max_ring_size: int = 8 * 1024 * 1024
    table_size: int = 65537  # MAGLEV's, a prime
    by_hostname: bool = False  # hosts are placed by their names, not by their addresses
    balance_factor: int = 0  # percent of its share that a host may have in flight before others help out; 0: no limit


DEFAULT_HASHING: Final = Hashing()


@dataclass(frozen=True, slots=True)
class SlowStart:
    """A host that turned healthy has `least` of its weight (a share) at first, and all of it after `window` seconds."""

    window: float
    aggression: float = 1.0
    least: float = 0.1


@dataclass(frozen=True, slots=True)
class ZoneAware:
    """Routing to the hosts of the proxy's own zone, for clusters of at least `min_cluster_size` healthy hosts: of
    `enabled` percent of the picks. `fail_on_panic` holds without zones as well."""

    enabled: float = 100.0
    min_cluster_size: int = 6
    fail_on_panic: bool = False
    force_local: int | None = None  # to the own zone as long as it has so many healthy hosts, whatever others have
    by_weight: bool = False  # what hosts can serve is their weight, not their number


# What an endpoint's metadata has to say, or what a subset is named by: names with values (as JSON), ordered by name.
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MetadataMatch:
    """`metadata_match` under `envoy.lb`. `alternatives` are what its `fallback_list` makes of it, None without one."""

    labels: Labels
    alternatives: tuple[Labels, ...] | None = None


class SubsetFallback(Enum):
    """Who is picked where there is no subset for a request."""

    NOT_DEFINED = "NOT_DEFINED"  # of a selector: what the cluster says
    NO_FALLBACK = "NO_FALLBACK"
    ANY_ENDPOINT = "ANY_ENDPOINT"
    DEFAULT_SUBSET = "DEFAULT_SUBSET"
    KEYS_SUBSET = "KEYS_SUBSET"  # of a selector: look again by fewer keys


@dataclass(frozen=True, slots=True)
class SubsetSelector:
    """Hosts with equal values of all these keys (in order) are a subset."""

    keys: tuple[str, ...]
    fallback: SubsetFallback = SubsetFallback.NOT_DEFINED
    fallback_keys: frozenset[str] = frozenset()
    single_host: bool = False


@dataclass(frozen=True, slots=True)
class Subsets:
    """lb_subset_config."""

    selectors: tuple[SubsetSelector, ...]
    fallback: SubsetFallback = SubsetFallback.NO_FALLBACK
    default: Labels = ()
    locality_weight_aware: bool = False
    scale_locality_weight: bool = False
    panic_mode_any: bool = False
    list_as_any: bool = False
    fallback_list: bool = False  # metadata_fallback_policy
    redundant_keys: bool = False  # of a request's keys those that fit a selector count


@dataclass(frozen=True, slots=True)
class Balancing:
    """How a cluster picks hosts. `bias` is LEAST_REQUEST's active_request_bias, of hosts whose weights differ;
    `full_scan` looks at all hosts in place of `choice_count`."""

    policy: LbPolicy = LbPolicy.ROUND_ROBIN
    choice_count: int = 2
    full_scan: bool = False
    bias: float = 1.0
    slow_start: SlowStart | None = None
    panic_threshold: float = 50.0
    locality_weighted: bool = False  # the localities' weights count
    zone_aware: ZoneAware = ZoneAware()
    hashing: Hashing = DEFAULT_HASHING
    subsets: Subsets | None = None


DEFAULT_BALANCING: Final = Balancing()
