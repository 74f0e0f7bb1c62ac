"""lb_subset_config and metadata_match: which endpoints requests with labels reach, and what is counted.

A subset that requests reach has one endpoint, or sends a key to one of several: so the log can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Pause, Plan, Send
from tests.oracle.case import Action, Case, HalfClose, Read, ReadUntil, Up, Write, request

LB = "type.googleapis.com/envoy.extensions.load_balancing_policies."
FIVE = tuple(f"shared{number}" for number in range(5))
STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "lb_subsets_selected",
        "lb_subsets_fallback",
        "lb_subsets_fallback_panic",
        "lb_healthy_panic",
        "upstream_rq_total",
        "upstream_cx_none_healthy",
    )
)
CALM = {"healthy_panic_threshold": {"value": 0}}


def labels(**fields: Any) -> Mapping[str, Any]:
    return {"metadata": {"filter_metadata": {"envoy.lb": fields}}}


def match(**fields: Any) -> Mapping[str, Any]:
    return {"metadata_match": {"filter_metadata": {"envoy.lb": fields}}}


def keys(*names: str, **fields: Any) -> Mapping[str, Any]:
    return {"keys": list(names), **fields}


LABELS = (
    labels(stage="prod", version=1),
    labels(stage="dev", version="1"),
    labels(stage="test", version=2),
    labels(stage="test", version=3),
    {},
)


def subset(
    name: str,
    wanted: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    *,
    requests: int = 2,
    reached: str | None = None,
    lb: Sequence[Mapping[str, Any]] = LABELS,
    fields: Mapping[str, Any] | None = None,
    **more: Any,
) -> Case:
    """`reached` is the endpoint that the last request reached, None when there is none."""
    actions: list[Action] = [step for number in range(requests) for step in (Write(request(f"/{number}")), Read())]
    expect = {f"log[{requests - 1}].flags": "UH" if reached is None else "-"}
    up = Up(FIVE[: len(lb)], lb=lb, fields={"lb_subset_config": config, **(fields or {})})
    return Case(
        name,
        actions=actions,
        action=dict(wanted or {}),
        clusters={"": up},
        stats=STATS,
        expect={**expect, **more.pop("expect", {})},
        **more,
    )


STAGE = [keys("stage")]
BOTH = [keys("stage", "version")]
HASHED = {"lb_policy": "RING_HASH"}
BY_PATH = {"hash_policy": [{"header": {"header_name": ":path"}}]}
DEV = {"default_subset": {"stage": "dev"}}


def typed(*policies: Mapping[str, Any], **fields: Any) -> Mapping[str, Any]:
    inner = [{"typed_extension_config": {"name": "p", "typed_config": policy}} for policy in policies]
    config = {"@type": f"{LB}subset.v3.Subset", **fields, "subset_lb_policy": {"policies": inner}}
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {"name": "s", "typed_config": config}}]}}


def extension(
    name: str,
    wanted: Mapping[str, Any],
    reached: str | None,
    *,
    inner: str = "round_robin.v3.RoundRobin",
    **fields: Any,
) -> Case:
    case = subset(name, wanted, {}, reached=reached)
    lb = typed({"@type": LB + inner}, **fields)
    return Case(
        name,
        actions=case.actions,
        action=case.action,
        clusters={"": Up(FIVE, lb=LABELS, fields=lb)},
        stats=STATS,
        expect=case.expect,
    )


def tcp(name: str, proxy: Mapping[str, Any], config: Mapping[str, Any], **more: Any) -> Case:
    """Two endpoints that only differ in their labels: `up` is `a`, `second` is `b`."""
    answer: Plan = [Send(b"welcome!"), Pause(0.05)]
    return Case(
        name,
        actions=(Write(b"HELLO / X\r\n\r\n"), ReadUntil(b"!"), HalfClose()) if more.pop("talks", True) else (),
        tcp=proxy,
        script=[answer],
        logs=1,
        clusters={
            "": Up(["up", "second"], lb=[labels(name="a"), labels(name="b")], fields={"lb_subset_config": config})
        },
        stats=STATS,
        **more,
    )


LIST = (labels(tag=["a", "b"]), labels(tag="c"), labels(tag="d"))
WEIGHTED = {
    "cluster": None,
    **match(stage="prod", version=9),
    "weighted_clusters": {"clusters": [{"name": "%CLUSTER%", "weight": 1, **match(version=1)}]},
}
CASES = (
    subset("subset_of_one", match(stage="prod"), {"subset_selectors": STAGE}, reached="shared0"),
    subset("subset_by_two_keys", match(version=2, stage="test"), {"subset_selectors": BOTH}, reached="shared2"),
    subset("subset_number_is_no_text", match(version="1"), {"subset_selectors": [keys("version")]}, reached="shared1"),
    subset("subset_number", match(version=1), {"subset_selectors": [keys("version")]}, reached="shared0"),
    subset("subset_true_is_no_number", match(version=True), {"subset_selectors": [keys("version")]}),
    subset("subset_too_few_keys", match(stage="prod"), {"subset_selectors": BOTH}),
    subset("subset_too_many_keys", match(stage="prod", version=1), {"subset_selectors": STAGE}),
    subset("subset_unknown_value", match(stage="none"), {"subset_selectors": STAGE}),
    subset("subset_unknown_key", match(colour="red"), {"subset_selectors": STAGE}),
    subset("subset_not_asked_for", None, {"subset_selectors": STAGE}),
    subset(
        "subset_of_other_metadata",
        {"metadata_match": {"filter_metadata": {"a": {"stage": "prod"}}}},
        {"subset_selectors": STAGE},
    ),
    subset("subset_without_selectors", match(stage="none"), {}, reached="shared0", lb=LABELS[:1]),
    # What the cluster falls back to.
    subset(
        "subset_falls_back_to_any",
        match(stage="none"),
        {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": STAGE},
        reached="shared0",
        lb=LABELS[:1],
    ),
    subset(
        "subset_any_when_not_asked_for",
        None,
        {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": STAGE},
        reached="shared0",
        lb=LABELS[:1],
    ),
    subset(
        "subset_falls_back_to_default",
        match(stage="none"),
        {"fallback_policy": "DEFAULT_SUBSET", **DEV, "subset_selectors": STAGE},
        reached="shared1",
    ),
    subset(
        "subset_default_by_two",
        None,
        {
            "fallback_policy": "DEFAULT_SUBSET",
            "default_subset": {"stage": "test", "version": 3},
            "subset_selectors": STAGE,
        },
        reached="shared3",
    ),
    subset(
        "subset_default_is_empty",
        match(stage="none"),
        {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"stage": "no"}, "subset_selectors": STAGE},
    ),
    subset(
        "subset_default_of_nothing",
        None,
        {"fallback_policy": "DEFAULT_SUBSET", "subset_selectors": STAGE},
        reached="shared0",
        lb=LABELS[:1],
    ),
    subset(
        "subset_default_is_empty_any_in_panic",
        match(stage="none"),
        {
            "fallback_policy": "DEFAULT_SUBSET",
            "default_subset": {"stage": "no"},
            "subset_selectors": STAGE,
            "panic_mode_any": True,
        },
        reached="shared0",
        lb=LABELS[:1],
    ),
    subset(
        "subset_panic_mode_without_fallback", match(stage="none"), {"subset_selectors": STAGE, "panic_mode_any": True}
    ),
    # What a selector falls back to.
    subset(
        "subset_selector_any",
        match(stage="none"),
        {"subset_selectors": [keys("stage", fallback_policy="ANY_ENDPOINT")]},
        reached="shared0",
        lb=LABELS[:1],
    ),
    subset(
        "subset_selector_none",
        match(stage="none"),
        {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": [keys("stage", fallback_policy="NO_FALLBACK")]},
    ),
    subset(
        "subset_selector_default",
        match(stage="none"),
        {**DEV, "subset_selectors": [keys("stage", fallback_policy="DEFAULT_SUBSET")]},
        reached="shared1",
    ),
    subset(
        "subset_selector_fewer_keys",
        match(stage="prod", version=7),
        {
            "subset_selectors": [
                keys("stage"),
                keys("stage", "version", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["stage"]),
            ]
        },
        reached="shared0",
    ),
    subset(
        "subset_selector_fewer_keys_then_cluster",
        match(stage="none", version=7),
        {
            "fallback_policy": "DEFAULT_SUBSET",
            **DEV,
            "subset_selectors": [
                keys("stage"),
                keys("stage", "version", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["stage"]),
            ],
        },
        reached="shared1",
    ),
    subset(
        "subset_selector_fewer_keys_of_nobody",
        match(stage="prod", version=7),
        {
            "subset_selectors": [
                keys("stage", "version", fallback_policy="KEYS_SUBSET", fallback_keys_subset=["version"])
            ]
        },
    ),
    subset(
        "subset_selector_begun_by_another",
        match(stage="none"),
        {"subset_selectors": [keys("stage", "version"), keys("stage", fallback_policy="ANY_ENDPOINT")]},
        lb=LABELS[:1],
    ),
    subset(
        "subset_selector_before_another",
        match(stage="none"),
        {"subset_selectors": [keys("stage", fallback_policy="ANY_ENDPOINT"), keys("stage", "version")]},
        lb=LABELS[:1],
        reached="shared0",
    ),
    # Lists.
    subset(
        "subset_list_as_any",
        match(tag="b"),
        {"subset_selectors": [keys("tag")], "list_as_any": True},
        lb=LIST,
        reached="shared0",
    ),
    subset("subset_list_is_a_value", match(tag="b"), {"subset_selectors": [keys("tag")]}, lb=LIST),
    subset("subset_whole_list", match(tag=["a", "b"]), {"subset_selectors": [keys("tag")]}, lb=LIST, reached="shared0"),
    subset(
        "subset_whole_list_as_any",
        match(tag=["a", "b"]),
        {"subset_selectors": [keys("tag")], "list_as_any": True},
        lb=LIST,
    ),
    subset(
        "subset_default_list_as_any",
        None,
        {
            "fallback_policy": "DEFAULT_SUBSET",
            "default_subset": {"tag": "b"},
            "subset_selectors": [keys("tag")],
            "list_as_any": True,
        },
        lb=LIST,
        reached="shared0",
    ),
    # Fallback lists of routes.
    subset(
        "subset_fallback_list",
        match(stage="x", fallback_list=[{"stage": "none"}, {"stage": "dev"}]),
        {"subset_selectors": STAGE, "metadata_fallback_policy": "FALLBACK_LIST"},
        reached="shared1",
    ),
    subset(
        "subset_fallback_list_merges",
        match(stage="prod", fallback_list=[{"version": 5}, {"version": 1}]),
        {"subset_selectors": BOTH, "metadata_fallback_policy": "FALLBACK_LIST"},
        reached="shared0",
    ),
    subset(
        "subset_fallback_list_ends",
        match(stage="prod", fallback_list=[{"stage": "none"}]),
        {"subset_selectors": STAGE, "metadata_fallback_policy": "FALLBACK_LIST"},
    ),
    subset(
        "subset_fallback_list_is_empty",
        match(stage="prod", fallback_list=[]),
        {"subset_selectors": STAGE, "metadata_fallback_policy": "FALLBACK_LIST"},
        reached="shared0",
    ),
    subset(
        "subset_fallback_list_is_not_looked_at",
        match(stage="prod", fallback_list=[{"stage": "dev"}]),
        {"subset_selectors": STAGE},
    ),
    # One host a subset, health, panic.
    subset(
        "subset_single_host",
        match(stage="test"),
        {"subset_selectors": [keys("stage", single_host_per_subset=True)]},
        reached="shared2",
    ),
    subset(
        "subset_single_host_is_ill",
        match(stage="prod"),
        {"subset_selectors": [keys("stage", single_host_per_subset=True)]},
        lb=({**LABELS[0], "health_status": "UNHEALTHY"}, *LABELS[1:]),
        reached="shared0",
    ),
    subset(
        "subset_is_ill_and_panics",
        match(stage="prod"),
        {"subset_selectors": STAGE},
        lb=({**LABELS[0], "health_status": "UNHEALTHY"}, *LABELS[1:]),
        reached="shared0",
    ),
    subset(
        "subset_is_ill",
        match(stage="prod"),
        {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": STAGE},
        lb=({**LABELS[0], "health_status": "UNHEALTHY"}, *LABELS[1:]),
        fields={"common_lb_config": CALM},
    ),
    subset(
        "subset_any_is_ill_and_panics",
        None,
        {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": STAGE},
        lb=({"health_status": "UNHEALTHY"},),
        reached="shared0",
    ),
    # By key within a subset.
    subset(
        "subset_with_a_ring",
        {**match(stage="test"), **BY_PATH},
        {"subset_selectors": STAGE},
        requests=12,
        fields=HASHED,
        reached="several",
    ),
    subset(
        "subset_with_maglev",
        {**match(stage="test"), **BY_PATH},
        {"subset_selectors": STAGE},
        requests=12,
        fields={"lb_policy": "MAGLEV"},
        reached="several",
    ),
    subset(
        "subset_any_with_a_ring",
        BY_PATH,
        {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": STAGE},
        requests=12,
        fields=HASHED,
        reached="several",
    ),
    # Weighted clusters.
    subset("subset_of_a_weighted_cluster", WEIGHTED, {"subset_selectors": BOTH}, reached="shared0"),
    # The extension.
    extension("subset_extension", match(stage="prod"), "shared0", subset_selectors=STAGE),
    extension(
        "subset_extension_falls_back",
        match(stage="no"),
        "shared1",
        subset_selectors=STAGE,
        fallback_policy="DEFAULT_SUBSET",
        **DEV,
        inner="least_request.v3.LeastRequest",
    ),
    extension("subset_extension_too_many_keys", match(stage="prod", colour="red"), None, subset_selectors=STAGE),
    extension(
        "subset_extension_redundant_keys",
        match(stage="prod", version=1, colour="red"),
        "shared0",
        subset_selectors=[keys("stage"), keys("stage", "version")],
        allow_redundant_keys=True,
    ),
    # TCP.
    tcp(
        "subset_of_tcp",
        match(name="b"),
        {"subset_selectors": [keys("name")]},
        expect={"log[0].upstream": "127.0.0.1:<second>"},
    ),
    tcp(
        "subset_of_tcp_is_unknown",
        match(name="x"),
        {"subset_selectors": [keys("name")]},
        talks=False,
        expect={"log[0].flags": "UH"},
    ),
    tcp(
        "subset_of_tcp_weighted",
        {
            "cluster": None,
            **match(name="x"),
            "weighted_clusters": {"clusters": [{"name": "%CLUSTER%", "weight": 1, **match(name="a")}]},
        },
        {"subset_selectors": [keys("name")]},
        expect={"log[0].upstream": "127.0.0.1:<up>"},
    ),
)
