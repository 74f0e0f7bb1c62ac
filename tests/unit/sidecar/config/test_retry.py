"""What is tried again, when and where, as configured."""

from __future__ import annotations

from sidecar.config.model import Forward, HeaderMatcher, ResetHeader, RetryPolicy
from tests.unit.sidecar.config.build import Data, T, hcm_of, parts, problems, route_of

RETRY = T + "envoy.extensions.retry."


def predicate(kind: str, **fields: object) -> Data:
    return {"name": "p", "typed_config": {"@type": f"{RETRY}host.{kind}", **fields}}


def policy_of(**fields: object) -> RetryPolicy:
    given = parts()
    given.action["retry_policy"] = fields
    action = route_of(given).action
    assert isinstance(action, Forward)
    assert action.retry is not None
    return action.retry


def wrong(**fields: object) -> list[str]:
    given = parts()
    given.action["retry_policy"] = fields
    return problems(given)


def test_everything() -> None:
    assert policy_of(
        retry_on="5xx, connect-failure,retriable-status-codes",
        num_retries=3,
        per_try_timeout="2s",
        per_try_idle_timeout="1s",
        retriable_status_codes=[503, 429],
        retriable_headers=[{"name": "A", "present_match": True}],
        retriable_request_headers=[{"name": "B", "present_match": True}],
        retry_back_off={"base_interval": "0.1s"},
        rate_limited_retry_back_off={
            "reset_headers": [{"name": "Retry-After"}, {"name": "X-Reset", "format": "UNIX_TIMESTAMP"}],
            "max_interval": "60s",
        },
        retry_host_predicate=[
            predicate("previous_hosts.v3.PreviousHostsPredicate"),
            predicate("omit_canary_hosts.v3.OmitCanaryHostsPredicate"),
            predicate(
                "omit_host_metadata.v3.OmitHostMetadataConfig",
                metadata_match={"filter_metadata": {"envoy.lb": {"version": 1}, "other": {"a": "b"}}},
            ),
            predicate("omit_host_metadata.v3.OmitHostMetadataConfig"),
        ],
        host_selection_retry_max_attempts=5,
        retry_priority={
            "name": "p",
            "typed_config": {
                "@type": RETRY + "priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 2,
            },
        },
    ) == RetryPolicy(
        conditions=frozenset({"5xx", "connect-failure", "retriable-status-codes"}),
        attempts=3,
        per_try_timeout=2.0,
        per_try_idle_timeout=1.0,
        status_codes=frozenset({503, 429}),
        headers=(HeaderMatcher(b"a"),),
        request_headers=(HeaderMatcher(b"b"),),
        base_interval=0.1,
        max_interval=1.0,
        reset_headers=(ResetHeader(b"retry-after"), ResetHeader(b"x-reset", timestamp=True)),
        reset_max_interval=60.0,
        avoid_previous_hosts=True,
        omit_canaries=True,
        omit_metadata=({"version": 1},),
        host_selection_attempts=5,
        priority_frequency=2,
    )


def test_nothing() -> None:
    assert policy_of() == RetryPolicy(frozenset())


def test_back_off_is_a_millisecond_at_least() -> None:
    policy = policy_of(retry_back_off={"base_interval": "0.0001s"})
    assert (policy.base_interval, policy.max_interval) == (0.001, 0.01)


def test_what_envoy_refuses_too() -> None:
    assert wrong(retry_back_off={"base_interval": "2s", "max_interval": "1s"}) == [
        "max_interval: must not be less than base_interval"
    ]
    assert wrong(rate_limited_retry_back_off={}) == ["reset_headers: needs 1 or more"]
    assert wrong(retry_on="often") == ["retry_on: unknown condition 'often'"]


def test_what_is_not_to_be_had() -> None:
    assert wrong(retry_options_predicates=[{"name": "x"}]) == ["retry_options_predicates: is not implemented"]
    (says,) = wrong(retry_host_predicate=[{"name": "mine"}])
    assert says.startswith("typed_config: mine without typed_config is not an implemented retry host predicate")


def test_a_virtual_host_has_a_policy_too() -> None:
    given = parts()
    given.host.update(retry_policy={"retry_on": "5xx"}, include_is_timeout_retry_header=True)
    routes = hcm_of(given).routes
    assert routes is not None
    assert routes.virtual_hosts[0].retry == RetryPolicy(frozenset({"5xx"}))
    assert routes.virtual_hosts[0].include_is_timeout_retry


def test_hedging() -> None:
    given = parts()
    given.host["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    given.action["hedge_policy"] = {"initial_requests": 1}
    routes = hcm_of(given).routes
    assert routes is not None
    (host,) = routes.virtual_hosts
    assert host.hedges
    assert isinstance(host.routes[0].action, Forward)
    assert host.routes[0].action.hedges is False
    given.action["hedge_policy"] = {"initial_requests": 2, "additional_request_chance": {"numerator": 1}}
    assert problems(given) == [
        "initial_requests: 2 is not implemented, only 1 is",
        "numerator: 1 is not implemented, only 0 is",
    ]
