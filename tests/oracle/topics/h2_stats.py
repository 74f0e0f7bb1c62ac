"""The HTTP/2 codec's own statistics, of clients' connections and of a cluster's."""

from __future__ import annotations

from tests.harness.h2_upstream import (
    AwaitBody,
    Body,
    GoAway,
    Head,
    IgnorePings,
    Pause,
    Plan,
    ResetStream,
    Trailers,
    reply,
)
from tests.harness.h2_wire import PING, RST_STREAM, Frame
from tests.oracle.case import Case, h2_cluster
from tests.oracle.h2_case import Block, H2Action, Over, Quiet, Request, Send, UntilEnd, grpc

NAMES = (
    "dropped_headers_with_underscores",
    "goaway_sent",
    "header_overflow",
    "headers_cb_no_stream",
    "inbound_empty_frames_flood",
    "inbound_priority_frames_flood",
    "inbound_window_update_frames_flood",
    "keepalive_timeout",
    "outbound_control_flood",
    "outbound_control_frames_active",
    "outbound_flood",
    "outbound_frames_active",
    "pending_send_bytes",
    "requests_rejected_with_underscores_in_headers",
    "rx_messaging_error",
    "rx_reset",
    "stream_refused_errors",
    "streams_active",
    "trailers",
    "tx_flush_timeout",
    "tx_reset",
)
BOTH = (*(f"http2.{name}" for name in NAMES), *(f"cluster.%CLUSTER%.http2.{name}" for name in NAMES))
ERRORS = (*BOTH, "cluster.%CLUSTER%.upstream_cx_protocol_error")
HOST = "cluster.%CLUSTER%.http2."
UP = {"": h2_cluster()}
PINGS = {"connection_keepalive": {"interval": "0.1s", "timeout": "0.3s", "interval_jitter": {"value": 0}}}
LARGE = (("x-large", "l" * 62_000),)
MANY = tuple((f"x-{number}", "1") for number in range(110))
WITH_TRAILERS: Plan = [AwaitBody(), Head(), Body(b"ok"), Trailers((("grpc-status", "0"),))]


def counted(
    name: str, steps: tuple[H2Action, ...], plan: Plan, expect: dict[str, int] | None = None, **more: object
) -> Case:
    """Compared are the statistics; what else is seen other topics compare."""
    given = {
        "clusters": UP,
        "stats": BOTH,
        "ignore": ("client", "h2[", "h2.", "h2up", "log"),
        "end": "skip",
        "logs": 0,
    } | more
    pinned = {f"stats.{path.replace('%CLUSTER%', f'h2_stats_{name}')}": value for path, value in (expect or {}).items()}
    return Case(f"h2_stats_{name}", h2=steps, h2_script=[plan], expect=pinned, **given)  # type: ignore[arg-type]


CASES = (
    counted("nothing", (Request(), Over()), reply()),
    counted("trailers", (grpc(), Over()), WITH_TRAILERS),
    counted("trailers_of_the_client", (Request(method="POST", body=b"x", trailers=(("x-a", "1"),)), Over()), reply()),
    counted(
        "client_resets",
        (Request(method="POST", end=False), Quiet(0.2), Send((Frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),)), Quiet(0.3)),
        [Pause(1.0)],
        {"http2.rx_reset": 1, f"{HOST}tx_reset": 1},
    ),
    counted("host_resets", (Request(), Over()), [AwaitBody(), ResetStream(2)], {f"{HOST}rx_reset": 1}),
    counted("host_answers_early", (Request(method="POST", end=False), Over()), [Head(end=True)]),
    counted("host_goes_away", (Request(), Over()), [AwaitBody(), GoAway(), Head(end=True)]),
    counted(
        "host_is_malformed", (Request(), Over()), [AwaitBody(), Head(200, (("Upper", "1"),), end=True)], stats=ERRORS
    ),
    counted("host_says_too_much", (Request(), Over()), [AwaitBody(), Head(200, LARGE, end=True)], stats=ERRORS),
    counted("host_says_too_many", (Request(), Over()), [AwaitBody(), Head(200, MANY, end=True)], stats=ERRORS),
    counted("client_says_too_many", (Request(fields=MANY), Over()), reply()),
    counted(
        "time_out", (Request(), Over()), [AwaitBody(), Pause(2.0)], {f"{HOST}tx_reset": 1}, action={"timeout": "0.3s"}
    ),
    counted(
        "host_is_silent",
        (Request(), Over()),
        [IgnorePings(), AwaitBody(), Pause(2.0)],
        {f"{HOST}keepalive_timeout": 1},
        clusters={"": h2_cluster(**PINGS)},
    ),
    counted(
        "client_is_silent",
        (UntilEnd(2.0),),
        reply(),
        {"http2.keepalive_timeout": 1},
        hcm={"http2_protocol_options": PINGS},
        h2_pongs=False,
    ),
    counted("client_breaks_a_rule", (Send((Frame(PING, 0, 1, b"12345678"),)), UntilEnd(1.5)), reply()),
    counted("client_is_malformed", (Block(((":method", "GET"), ("Upper", "1"))), UntilEnd(1.5)), reply()),
    counted(
        "client_is_malformed_on_a_stream",
        (Block(((":method", "GET"), ("Upper", "1"))), Over()),
        reply(),
        hcm={"http2_protocol_options": {"override_stream_error_on_invalid_http_message": True}},
    ),
    counted("client_says_too_much", (Request(fields=LARGE), Over()), reply()),
    counted(
        "too_many_streams",
        (Request("/1"), Request("/2", stream=3), Over((3,)), Quiet(0.3)),
        [AwaitBody(), Pause(0.5), *reply()[1:]],
        hcm={"http2_protocol_options": {"max_concurrent_streams": 1}},
    ),
    counted(
        "underscores_dropped",
        (Request(fields=(("x_a", "1"),)), Over()),
        reply(),
        hcm={"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
    ),
    counted(
        "underscores_refused",
        (Request(fields=(("x_a", "1"),)), Over()),
        reply(),
        hcm={"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"}},
    ),
)
