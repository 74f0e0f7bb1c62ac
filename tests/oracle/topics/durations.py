"""How long a request may last: the connection manager's, the route's and the cluster's max_stream_duration, grpc-timeout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Hang, Pause, Plan, ReadBody, Send, raw, reply, response_bytes
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, post, request
from tests.oracle.topics import internal

STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "upstream_rq_max_duration_reached",
        "upstream_rq_timeout",
        "upstream_rq_completed",
        "upstream_rq_504",
        "upstream_rq_retry",
        "upstream_rq_total",
    )
)
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HANG: Plan = [ReadBody(), Hang()]
PART: Plan = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", Hang())
SLOW: Plan = [ReadBody(), Pause(0.4), Send(response_bytes())]
SHORT = {"common_http_protocol_options": {"max_stream_duration": "0.2s"}}
GRPC = ("Content-Type: application/grpc",)


def case(
    name: str,
    duration: Mapping[str, Any] | None,
    script: Sequence[Plan],
    *lines: str,
    sent: Sequence[Action] | None = None,
    action: Mapping[str, Any] | None = None,
    **more: Any,
) -> Case:
    fields = {**({} if duration is None else {"max_stream_duration": duration}), **(action or {})}
    more.setdefault("ignore", ("upstream[1].connection",))
    steps = sent if sent is not None else [Write(request("/x", *lines)), Read()]
    return Case(name, actions=steps, action=fields, script=script, stats=STATS, **more)


def upstream(seconds: str) -> Mapping[str, Up]:
    typed = {
        "@type": f"type.googleapis.com/{OPTIONS}",
        "common_http_protocol_options": {"max_stream_duration": seconds},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {"": Up(fields={"typed_extension_protocol_options": {OPTIONS: typed}})}


HALF = post("/x", body=b"0123456789")[:-5]
CASES = (
    case(
        "duration_of_the_route",
        {"max_stream_duration": "0.2s"},
        [HANG],
        expect={"log[0].details": "max_duration_timeout"},
    ),
    case("duration_is_enough", {"max_stream_duration": "5s"}, [reply()], expect={"client[0].status": 200}),
    case("duration_in_the_body", {"max_stream_duration": "0.2s"}, [PART]),
    case("duration_of_half_a_request", {"max_stream_duration": "0.2s"}, [HANG], sent=[Write(HALF), Read()]),
    case("duration_and_timeout", {"max_stream_duration": "5s"}, [SLOW], action={"timeout": "0.2s"}),
    case("duration_empty_and_timeout", {}, [SLOW], action={"timeout": "0.2s"}),
    case("duration_of_the_manager", None, [HANG], hcm=SHORT),
    case("duration_of_the_manager_for_half_a_request", None, [HANG], sent=[Write(HALF), Read()], hcm=SHORT),
    case("duration_of_the_manager_lifted", {"max_stream_duration": "0s"}, [SLOW], hcm=SHORT),
    case("duration_of_the_manager_longer", {"max_stream_duration": "5s"}, [SLOW], hcm=SHORT),
    case("duration_of_the_manager_with_grpc", None, [reply()], "grpc-timeout: 3S", hcm=SHORT),
    case("duration_not_retried", {"max_stream_duration": "0.2s"}, [HANG], action={"retry_policy": {"retry_on": "5xx"}}),
    case("grpc_timeout", {"grpc_timeout_header_max": "0s"}, [HANG], "grpc-timeout: 200m", *GRPC),
    case("grpc_timeout_of_http", {"grpc_timeout_header_max": "0s"}, [HANG], "grpc-timeout: 200m"),
    case("grpc_timeout_capped", {"grpc_timeout_header_max": "0.2s"}, [HANG], "grpc-timeout: 1H", *GRPC),
    case("grpc_timeout_below_the_cap", {"grpc_timeout_header_max": "1s"}, [HANG], "grpc-timeout: 200000u", *GRPC),
    case(
        "grpc_timeout_with_offset",
        {"grpc_timeout_header_max": "0s", "grpc_timeout_header_offset": "0.8s"},
        [HANG],
        "grpc-timeout: 1S",
        *GRPC,
    ),
    case(
        "grpc_timeout_below_the_offset",
        {"grpc_timeout_header_max": "0s", "grpc_timeout_header_offset": "2s"},
        [HANG],
        "grpc-timeout: 1S",
        *GRPC,
        ignore=["upstream"],  # it is over at once: whether the host hears of it is chance
    ),
    case("grpc_timeout_garbage", {"grpc_timeout_header_max": "0.2s"}, [SLOW], "grpc-timeout: soon", *GRPC),
    case("grpc_timeout_missing", {"grpc_timeout_header_max": "0.2s"}, [SLOW], *GRPC),
    case(
        "grpc_timeout_missing_with_duration",
        {"grpc_timeout_header_max": "0.2s", "max_stream_duration": "0.3s"},
        [HANG],
        *GRPC,
    ),
    case("grpc_timeout_not_asked", {"max_stream_duration": "5s"}, [reply()], "grpc-timeout: 100S", *GRPC),
    case("grpc_timeout_in_minutes", {"grpc_timeout_header_max": "0s"}, [reply()], "grpc-timeout: 1M", *GRPC),
    case("grpc_timeout_in_hours", {"grpc_timeout_header_max": "0s"}, [reply()], "grpc-timeout: 99999H", *GRPC),
    case("grpc_timeout_in_nanoseconds", {"grpc_timeout_header_max": "0s"}, [reply()], "grpc-timeout: 99999999n", *GRPC),
    case("upstream_duration", None, [HANG], clusters=upstream("0.2s"), expect={"log[0].flags": "UMSDR"}),
    case("upstream_duration_is_enough", None, [reply()], clusters=upstream("5s")),
    case("upstream_duration_in_the_body", None, [PART], clusters=upstream("0.2s")),
    case("upstream_duration_of_half_a_request", None, [HANG], sent=[Write(HALF), Read()], clusters=upstream("0.2s")),
    case(
        "upstream_duration_retried",
        None,
        [HANG, reply()],
        clusters=upstream("0.2s"),
        action={"retry_policy": {"retry_on": "reset"}},
    ),
    case(
        "upstream_duration_used_up",
        None,
        [HANG],
        clusters=upstream("0.2s"),
        action={"retry_policy": {"retry_on": "5xx"}},
    ),
    case(
        "upstream_duration_wish",
        None,
        [HANG],
        "X-Envoy-Upstream-Stream-Duration-Ms: 200",
        hcm=internal.HCM,
    ),
    case(
        "upstream_duration_wish_wins",
        None,
        [SLOW],
        "X-Envoy-Upstream-Stream-Duration-Ms: 2000",
        clusters=upstream("0.2s"),
        hcm=internal.HCM,
    ),
    case(
        "upstream_duration_wish_garbage",
        None,
        [HANG],
        "X-Envoy-Upstream-Stream-Duration-Ms: x",
        clusters=upstream("0.2s"),
        hcm=internal.HCM,
    ),
    case(
        "upstream_duration_wish_of_a_stranger",
        None,
        [HANG],
        "X-Envoy-Upstream-Stream-Duration-Ms: 200",
        action={"timeout": "0.5s"},
    ),
    case(
        "duration_after_the_answer",
        {"max_stream_duration": "0.3s"},
        [reply()],
        sent=[Write(request("/x")), Read(), Wait(0.5)],
    ),
)
