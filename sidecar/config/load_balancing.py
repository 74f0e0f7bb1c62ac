"""How a cluster picks hosts: `lb_policy` with its config, or `load_balancing_policy`, which wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2 import Maglev
from envoy.extensions.load_balancing_policies.random.v3.random_pb2 import Random
from envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash
from envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2 import RoundRobin
from envoy.extensions.load_balancing_policies.subset.v3.subset_pb2 import Subset

from sidecar.config.model import DEFAULT_HASHING, Balancing, Hashing, LbPolicy, SlowStart, ZoneAware
from sidecar.config.reader import Reader
from sidecar.config.subsets import subsets

PANIC: Final = 50.0
_REPLACED: Final = ("zone_aware_lb_config", "locality_weighted_lb_config", "consistent_hashing_lb_config")
_ENVOYS: Final = "envoy.extensions.load_balancing_policies."
_UNUSED: Final = ("least_request_lb_config", "round_robin_lb_config", "ring_hash_lb_config", "maglev_lb_config")


def load_balancing(reader: Reader, common: Reader | None) -> Balancing:
    """The balancing of a cluster, `common` is its common_lb_config."""
    word = reader.enum("lb_policy")
    panic = common.percent("healthy_panic_threshold", PANIC) if common is not None else PANIC
    if (policies := reader.child("load_balancing_policy")) is not None:
        _check_alone(reader, common)
        return replace(_first_known(policies), panic_threshold=panic)
    if word not in LbPolicy.__members__:
        reader.problem(f"{word} is not implemented", "lb_policy")
        word = LbPolicy.ROUND_ROBIN.value
    return replace(_old(reader, common, LbPolicy[word]), panic_threshold=panic)


def _check_alone(reader: Reader, common: Reader | None) -> None:
    """Of what `load_balancing_policy` replaces some must not be there, and the rest is not looked at."""
    if reader.has("lb_subset_config"):
        reader.refuse("lb_subset_config", "cannot be combined with load_balancing_policy")
    for name in _REPLACED:
        if common is not None and common.has(name):
            common.refuse(name, "cannot be combined with load_balancing_policy")
    for name in _UNUSED:
        if reader.has(name) and (unused := reader.child(name)) is not None:
            unused.skip()


# ── lb_policy ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _old(reader: Reader, common: Reader | None, policy: LbPolicy) -> Balancing:
    least, robin = reader.child("least_request_lb_config"), reader.child("round_robin_lb_config")
    slow = {LbPolicy.LEAST_REQUEST: _slow_start(least), LbPolicy.ROUND_ROBIN: _slow_start(robin)}
    found = subsets(reader.child("lb_subset_config"))
    if found is not None and policy is LbPolicy.CLUSTER_PROVIDED:
        reader.problem("is not for clusters of CLUSTER_PROVIDED hosts", "lb_subset_config")
    balancing = Balancing(
        policy=policy,
        choice_count=_choices(least),
        bias=_bias(least),
        slow_start=slow.get(policy),
        hashing=_old_hashing(reader, common),
        subsets=found,
    )
    return balancing if common is None else _locality(common, balancing)


def _locality(reader: Reader, balancing: Balancing) -> Balancing:
    """What `common_lb_config` and `locality_lb_config` call alike."""
    weighted = reader.child("locality_weighted_lb_config")
    zones = reader.child("zone_aware_lb_config")
    return replace(
        balancing,
        locality_weighted=weighted is not None,
        zone_aware=ZoneAware() if zones is None else _zone_aware(zones),
    )


def _zone_aware(reader: Reader) -> ZoneAware:
    default = ZoneAware()
    force, by_weight = None, False
    if reader.message.DESCRIPTOR.full_name != Cluster.CommonLbConfig.ZoneAwareLbConfig.DESCRIPTOR.full_name:
        force = _force_local(reader)  # the extensions have more to say
        by_weight = reader.enum("locality_basis") == "HEALTHY_HOSTS_WEIGHT"
    return ZoneAware(
        enabled=float(round(reader.percent("routing_enabled", default.enabled))),
        min_cluster_size=reader.number("min_cluster_size", default.min_cluster_size),
        fail_on_panic=reader.flag("fail_traffic_on_panic"),
        force_local=force,
        by_weight=by_weight,
    )


def _force_local(reader: Reader) -> int | None:
    old = reader.flag("force_locality_direct_routing")
    if (force := reader.child("force_local_zone")) is not None:
        return force.number("min_size", 1)
    return 1 if old else None


def _choices(reader: Reader | None) -> int:
    return 2 if reader is None else reader.number("choice_count", 2)


def _bias(reader: Reader | None) -> float:
    return 1.0 if reader is None else _runtime_double(reader, "active_request_bias", 1.0)


def _runtime_double(parent: Reader, name: str, default: float) -> float:
    reader = parent.child(name)
    if reader is None:
        return default
    reader.text("runtime_key")  # there is no runtime: the default value holds
    return reader.real("default_value")


def _slow_start(parent: Reader | None) -> SlowStart | None:
    """The `slow_start_config` in it."""
    reader = parent.child("slow_start_config") if parent is not None else None
    if reader is None:
        return None
    window = reader.seconds("slow_start_window")
    aggression = _runtime_double(reader, "aggression", 1.0)
    least = reader.percent("min_weight_percent", 10.0) / 100
    return SlowStart(window, aggression if aggression > 0 else 1.0, least) if window else None


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
    return hashing if shared is None else _shared_hashing(shared, hashing)


def _shared_hashing(reader: Reader, hashing: Hashing) -> Hashing:
    return replace(
        hashing,
        by_hostname=reader.flag("use_hostname_for_hashing"),
        balance_factor=reader.number("hash_balance_factor"),
    )


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


def _first_known(reader: Reader) -> Balancing:
    """The first policy of a list that there is, as for Envoy: the others are for other proxies."""
    offered: list[str] = []
    chosen: Balancing | None = None
    for each in reader.children("policies"):
        extension = each.child("typed_extension_config")
        if extension is None:
            continue
        name = extension.text("name")
        kind, config = extension.unpacked()
        offered.append(kind or name)
        if chosen is None and kind.startswith(_ENVOYS) and kind not in _POLICIES:
            extension.problem(f"{kind} is not implemented", "typed_config")  # and Envoy would take it
        if config is None:
            continue
        if chosen is None and kind in _POLICIES:
            chosen = _POLICIES[kind](config)
        else:
            config.skip()
    if chosen is None:
        reader.problem(f"none of {', '.join(offered) or 'an empty list'} is implemented", "policies")
        return Balancing()
    return chosen


def _in_locality(reader: Reader, balancing: Balancing) -> Balancing:
    config = reader.child("locality_lb_config")
    return balancing if config is None else _locality(config, balancing)


def _random(reader: Reader) -> Balancing:
    return _in_locality(reader, Balancing(LbPolicy.RANDOM))


def _round_robin(reader: Reader) -> Balancing:
    return _in_locality(reader, Balancing(LbPolicy.ROUND_ROBIN, slow_start=_slow_start(reader)))


def _least_request(reader: Reader) -> Balancing:
    scan = reader.flag("enable_full_scan")  # deprecated: selection_method says the same
    scan = reader.enum("selection_method") == "FULL_SCAN" or scan
    balancing = Balancing(
        LbPolicy.LEAST_REQUEST,
        choice_count=_choices(reader),
        full_scan=scan,
        bias=_bias(reader),
        slow_start=_slow_start(reader),
    )
    return _in_locality(reader, balancing)


def _ring_hash(reader: Reader) -> Balancing:
    hashing = replace(
        _ring(reader),
        by_hostname=reader.flag("use_hostname_for_hashing"),  # deprecated, both: the common config's count before them
        balance_factor=reader.number("hash_balance_factor"),
    )
    return _hashing(reader, LbPolicy.RING_HASH, hashing)


def _hashing(reader: Reader, policy: LbPolicy, hashing: Hashing) -> Balancing:
    shared = reader.child("consistent_hashing_lb_config")
    if shared is not None:
        hashing = _shared_hashing(shared, hashing)
    weighted = reader.child("locality_weighted_lb_config") is not None
    return Balancing(policy, locality_weighted=weighted, hashing=hashing)


def _subset(reader: Reader) -> Balancing:
    found = subsets(reader, redundant_keys=reader.flag("allow_redundant_keys"))
    policies = reader.child("subset_lb_policy")
    inner = Balancing() if policies is None else _first_known(policies)
    if inner.subsets is not None:
        reader.problem("subsets of subsets are not implemented", "subset_lb_policy")
    return replace(inner, subsets=found)


_POLICIES: Final[dict[str, Callable[[Reader], Balancing]]] = {
    LeastRequest.DESCRIPTOR.full_name: _least_request,
    RoundRobin.DESCRIPTOR.full_name: _round_robin,
    Random.DESCRIPTOR.full_name: _random,
    RingHash.DESCRIPTOR.full_name: _ring_hash,
    Maglev.DESCRIPTOR.full_name: lambda reader: _hashing(reader, LbPolicy.MAGLEV, _maglev(reader)),
    Subset.DESCRIPTOR.full_name: _subset,
}
