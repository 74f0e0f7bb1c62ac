"""The judge itself: a second Envoy is found equal, and every kind of deliberate difference is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.upstream import reply
from tests.oracle.bootstrap import TYPE
from tests.oracle.case import Case, post, request
from tests.oracle.observe import Observation, describe, differences
from tests.oracle.run import Pair, envoy

PLAIN = Case("judge_plain", post("/x"), script=[reply(200, b"same")], stats=["cluster.%CLUSTER%.upstream_rq_200"])
RETRIED = Case(
    "judge_retried",
    request("/x"),
    script=[reply(503), reply()],
    action={"retry_policy": {"retry_on": "5xx"}},
    stats=["cluster.%CLUSTER%.upstream_rq_retry"],
)
REFUSED = Case("judge_refused", b"garbage\r\n\r\n")
DIRECT = Case("judge_direct", request("/x"), routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200}}])
CLOSES = Case("judge_closes", request("/x", "Connection: close"))
CASES = (PLAIN, RETRIED, REFUSED, DIRECT, CLOSES)


def connection_manager(config: dict[str, Any]) -> dict[str, Any]:
    """All cases here share one listener."""
    (listener,) = config["static_resources"]["listeners"]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def virtual_host(config: dict[str, Any], case: Case) -> dict[str, Any]:
    hosts = connection_manager(config)["route_config"]["virtual_hosts"]
    return next(host for host in hosts if host["name"] == case.name)


def change_everything(config: dict[str, Any]) -> None:
    """A difference in each of the cases: what goes up, what comes back, the log, the statistics, the connection."""
    host = virtual_host(config, PLAIN)
    host["request_headers_to_add"] = [{"header": {"key": "x-only-here", "value": "1"}}]
    host["response_headers_to_remove"] = ["content-length"]
    host["routes"][0]["name"] = "renamed"
    virtual_host(config, RETRIED)["routes"][0]["route"]["retry_policy"]["num_retries"] = 0
    virtual_host(config, DIRECT)["routes"][0]["direct_response"] = {"status": 201, "body": {"inline_string": "x"}}
    virtual_host(config, CLOSES)["domains"] = ["nobody.test"]
    connection_manager(config)["server_name"] = "another"


FOUND = {
    PLAIN.name: {
        "upstream[0].header.x-only-here",
        "client[0].framing",
        "client[0].header.server",
        "log[0].route",
    },
    RETRIED.name: {
        "client[0].status",
        "upstream.count",
        "log[0].flags",
        "log[0].attempts",
        "stats.cluster.judge_retried.upstream_rq_retry",
    },
    REFUSED.name: {"client[0].header.server"},
    DIRECT.name: {"client[0].status", "client[0].body", "log[0].bytes_sent"},
    CLOSES.name: {"client[0].status", "upstream.count", "log[0].details"},
}


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(CASES, tmp_path_factory.mktemp("same"), judged=envoy) as pair:
        yield pair


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(CASES, tmp_path_factory.mktemp("other"), judged=envoy, edit=change_everything) as pair:
        yield pair


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_second_envoy_is_equal(same: Pair, case: Case) -> None:
    found = differences(*same.observe(case))
    assert not found, describe(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_changed_configuration_is_found(other: Pair, case: Case) -> None:
    found = differences(*other.observe(case))
    assert FOUND[case.name] <= set(found), describe(found)


def test_a_proxy_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    def break_it(config: dict[str, Any]) -> None:
        connection_manager(config)["@type"] = TYPE + "no.such.Type"

    with pytest.raises(AssertionError, match=r"(?s)ended with 1 before it was ready.*no\.such\.Type"):
        Pair(CASES, tmp_path, judged=envoy, edit=break_it).__enter__()


def seen(change: Callable[[Observation], None] = lambda _: None) -> dict[str, Any]:
    observation = Observation(end="open", log=[{"flags": "-", "client": "1.2.3.4:5"}], stats={"a": 1}, ports={80: "up"})
    change(observation)
    return observation.flat()


def test_each_part_of_an_observation_counts() -> None:
    changes: dict[str, Callable[[Observation], None]] = {
        "client.end": lambda o: setattr(o, "end", "fin"),
        "client.tunnel": lambda o: setattr(o, "tunnel", b"x"),
        "log[0].flags": lambda o: setattr(o, "log", [{"flags": "UH"}]),
        "log.count": lambda o: setattr(o, "log", []),
        "stats.a": lambda o: setattr(o, "stats", {"a": 2}),
        "client.count": lambda o: o.responses.append(None),
    }
    for path, change in changes.items():
        assert path in differences(seen(), seen(change)), path


def test_what_differs_between_two_runs_of_one_proxy_does_not_count() -> None:
    left = Observation(log=[{"client": "1.1.1.1:1", "upstream": "127.0.0.1:1000"}], ports={1000: "up"})
    right = Observation(log=[{"client": "1.1.1.1:2", "upstream": "127.0.0.1:2000"}], ports={2000: "up"})
    assert not differences(left.flat(), right.flat())


def test_ignored_paths_do_not_count() -> None:
    assert differences({"a.b": 1, "a.c": 1}, {"a.b": 2, "a.c": 2}, ["a.b"]) == {"a.c": (1, 2)}
