"""How a cluster picks hosts: `lb_policy` with its config, or `load_balancing_policy`, which wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2 import Maglev
from envoy.extensions.load_balancing_policies.random.v3.random_pb2 import Random
from envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash
from envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2 import RoundRobin

from sidecar.config.model import DEFAULT_HASHING, Hashing, LbPolicy
from sidecar.config.reader import Reader

PANIC: Final = 50.0


@dataclass(frozen=True, slots=True)
class LoadBalancing:
    policy: LbPolicy = LbPolicy.ROUND_ROBIN
    choice_count: int = 2
    panic_threshold: float = PANIC
    locality_weighted: bool = False
    hashing: Hashing = DEFAULT_HASHING


def load_balancing(reader: Reader) -> LoadBalancing:
    word = reader.enum("lb_policy")
    choices = _choices(reader.child("least_request_lb_config"))
    reader.child("round_robin_lb_config")  # only slow start in it, which is refused when set
    common = reader.child("common_lb_config")
    panic = common.percent("healthy_panic_threshold", PANIC) if common is not None else PANIC
    hashing = _old_hashing(reader, common)
    weighted = common is not None and common.child("locality_weighted_lb_config") is not None
    policies = reader.child("load_balancing_policy")
    if policies is not None:
        return replace(_first_known(policies), panic_threshold=panic)
    if word not in LbPolicy.__members__:
        reader.problem(f"{word} is not implemented", "lb_policy")
        return LoadBalancing()
    return LoadBalancing(LbPolicy[word], choices, panic, weighted, hashing)


def _choices(reader: Reader | None) -> int:
    if reader is None:
        return 2
    bias = reader.child("active_request_bias")
    if bias is not None:
        bias.text("runtime_key")
        bias.only("default_value", 1.0)
    return reader.number("choice_count", 2)


# ── hash tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _old_hashing(reader: Reader, common: Reader | None) -> Hashing:
    """`ring_hash_lb_config` and `maglev_lb_config`, of which a cluster can have one, and what both have in common."""
    ring, maglev = reader.child("ring_hash_lb_config"), reader.child("maglev_lb_config")
    hashing = DEFAULT_HASHING
    if ring is not None:
        hashing = _ring(ring)
    elif maglev is not None:
        hashing = _maglev(maglev)
    shared = common.child("consistent_hashing_lb_config") if common is not None else None
    return hashing if shared is None else replace(hashing, by_hostname=shared.flag("use_hostname_for_hashing"))


def _ring(reader: Reader) -> Hashing:
    default = DEFAULT_HASHING
    reader.only("hash_function", "XX_HASH", "DEFAULT_HASH")
    least = reader.number("minimum_ring_size", default.min_ring_size)
    most = reader.number("maximum_ring_size", default.max_ring_size)
    if least > most:
        reader.problem(f"is {least}, more than maximum_ring_size, which is {most}", "minimum_ring_size")
    return replace(default, min_ring_size=least, max_ring_size=most)


def _maglev(reader: Reader) -> Hashing:
    size = reader.number("table_size", DEFAULT_HASHING.table_size)
    if not _is_prime(size):
        reader.problem(f"{size} is not a prime number", "table_size")
    return replace(DEFAULT_HASHING, table_size=size)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


# ── load_balancing_policy ─────────────────────────────────────────────────────────────────────────────────────────────


def _first_known(reader: Reader) -> LoadBalancing:
    """The first policy of a list that there is, as for Envoy: the others are for other proxies."""
    offered: list[str] = []
    chosen: LoadBalancing | None = None
    for each in reader.children("policies"):
        extension = each.child("typed_extension_config")
        if extension is None:
            continue
        name = extension.text("name")
        kind, config = extension.unpacked()
        offered.append(kind or name)
        if config is None:
            continue
        if chosen is None and kind in _POLICIES:
            chosen = _POLICIES[kind](config)
        else:
            config.skip()
    if chosen is None:
        reader.problem(f"none of {', '.join(offered) or 'an empty list'} is implemented", "policies")
        return LoadBalancing()
    return chosen


def _plain(policy: LbPolicy) -> Callable[[Reader], LoadBalancing]:
    return lambda reader: LoadBalancing(policy, locality_weighted=_locality(reader))


def _least_request(reader: Reader) -> LoadBalancing:
    return LoadBalancing(LbPolicy.LEAST_REQUEST, _choices(reader), locality_weighted=_locality(reader))


def _locality(reader: Reader) -> bool:
    config = reader.child("locality_lb_config")
    return config is not None and config.child("locality_weighted_lb_config") is not None


def _ring_hash(reader: Reader) -> LoadBalancing:
    by_hostname = reader.flag("use_hostname_for_hashing")  # deprecated: the common config's counts before it
    return _hashing(reader, LbPolicy.RING_HASH, replace(_ring(reader), by_hostname=by_hostname))


def _hashing(reader: Reader, policy: LbPolicy, hashing: Hashing) -> LoadBalancing:
    shared = reader.child("consistent_hashing_lb_config")
    if shared is not None:
        hashing = replace(hashing, by_hostname=shared.flag("use_hostname_for_hashing"))
    weighted = reader.child("locality_weighted_lb_config") is not None
    return LoadBalancing(policy, locality_weighted=weighted, hashing=hashing)


_POLICIES: Final[dict[str, Callable[[Reader], LoadBalancing]]] = {
    LeastRequest.DESCRIPTOR.full_name: _least_request,
    RoundRobin.DESCRIPTOR.full_name: _plain(LbPolicy.ROUND_ROBIN),
    Random.DESCRIPTOR.full_name: _plain(LbPolicy.RANDOM),
    RingHash.DESCRIPTOR.full_name: _ring_hash,
    Maglev.DESCRIPTOR.full_name: lambda reader: _hashing(reader, LbPolicy.MAGLEV, _maglev(reader)),
}
