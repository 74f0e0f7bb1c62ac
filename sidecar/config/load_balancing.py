"""How a cluster picks hosts: `lb_policy` with its config, or `load_balancing_policy`, which wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from envoy.extensions.load_balancing_policies.random.v3.random_pb2 import Random
from envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2 import RoundRobin

from sidecar.config.model import LbPolicy
from sidecar.config.reader import Reader

_POLICIES: Final = {
    LeastRequest.DESCRIPTOR.full_name: LbPolicy.LEAST_REQUEST,
    RoundRobin.DESCRIPTOR.full_name: LbPolicy.ROUND_ROBIN,
    Random.DESCRIPTOR.full_name: LbPolicy.RANDOM,
}
PANIC: Final = 50.0


@dataclass(frozen=True, slots=True)
class LoadBalancing:
    policy: LbPolicy = LbPolicy.ROUND_ROBIN
    choice_count: int = 2
    panic_threshold: float = PANIC
    locality_weighted: bool = False


def load_balancing(reader: Reader) -> LoadBalancing:
    word = reader.enum("lb_policy")
    choices = _choices(reader.child("least_request_lb_config"))
    reader.child("round_robin_lb_config")  # only slow start in it, which is refused when set
    panic, weighted = _common(reader.child("common_lb_config"))
    policies = reader.child("load_balancing_policy")
    if policies is not None:
        policy, choices, weighted = _first_known(policies)
    elif word in LbPolicy.__members__:
        policy = LbPolicy[word]
    else:
        reader.problem(f"{word} is not implemented", "lb_policy")
        policy = LbPolicy.ROUND_ROBIN
    return LoadBalancing(policy, choices, panic, weighted)


def _choices(reader: Reader | None) -> int:
    if reader is None:
        return 2
    bias = reader.child("active_request_bias")
    if bias is not None:
        bias.text("runtime_key")
        bias.only("default_value", 1.0)
    return reader.number("choice_count", 2)


def _common(reader: Reader | None) -> tuple[float, bool]:
    if reader is None:
        return PANIC, False
    return reader.percent("healthy_panic_threshold", PANIC), reader.child("locality_weighted_lb_config") is not None


def _first_known(reader: Reader) -> tuple[LbPolicy, int, bool]:
    """The first policy of a list that there is, as for Envoy: the others are for other proxies."""
    offered: list[str] = []
    chosen: tuple[LbPolicy, int, bool] | None = None
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
            chosen = _POLICIES[kind], _choices_of(kind, config), _locality(config)
        else:
            config.skip()
    if chosen is None:
        reader.problem(f"none of {', '.join(offered) or 'an empty list'} is implemented", "policies")
        return LbPolicy.ROUND_ROBIN, 2, False
    return chosen


def _choices_of(kind: str, reader: Reader) -> int:
    return _choices(reader) if _POLICIES[kind] is LbPolicy.LEAST_REQUEST else 2


def _locality(reader: Reader) -> bool:
    config = reader.child("locality_lb_config")
    return config is not None and config.child("locality_weighted_lb_config") is not None
