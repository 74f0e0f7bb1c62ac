"""The TCP proxy: bytes both ways, and how the end of one side reaches the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Close, Hang, Pause, Plan, Reset, Send
from tests.oracle.case import Abort, Action, AwaitUpstream, Case, HalfClose, ReadUntil, Up, Wait, Write

HELLO = b"HELLO / X\r\n\r\n"  # what the scripted upstream takes for a whole request
TYPE = {"type": "%ACCESS_LOG_TYPE%"}
ANSWER: Plan = [Send(b"welcome!")]
TALK = (Write(HELLO), ReadUntil(b"!"))


STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "upstream_cx_destroy_local",
        "upstream_cx_destroy_local_with_active_rq",
        "upstream_cx_destroy_remote",
        "upstream_cx_destroy_remote_with_active_rq",
        "upstream_cx_overflow",
        "upstream_cx_rx_bytes_total",
        "upstream_cx_total",
        "upstream_cx_tx_bytes_total",
        "upstream_rq_pending_failure_eject",
        "upstream_rq_pending_total",
        "upstream_rq_total",
    )
)


def tcp(
    name: str,
    *actions: Action,
    script: Sequence[Plan] = (ANSWER,),
    proxy: Mapping[str, Any] | None = None,
    lines: int = 1,
    **more: Any,
) -> Case:
    """`proxy` are the TCP proxy's fields."""
    more.setdefault("stats", STATS)
    return Case(name, actions=actions, tcp=proxy or {}, script=script, logs=lines, **more)


CASES = (
    tcp("tcp_both_ways_client_ends", *TALK, HalfClose(), expect={"client.tunnel": b"welcome!", "log[0].flags": "-"}),
    tcp("tcp_upstream_ends", *TALK, script=[[Send(b"welcome!"), Close()]], expect={"client.end": "fin"}),
    tcp("tcp_upstream_resets", *TALK, script=[[Send(b"welcome!"), Pause(0.1), Reset()]]),
    tcp("tcp_client_resets", Write(HELLO), AwaitUpstream(), Abort(), script=[[Hang()]]),
    tcp(
        "tcp_connect_refused",
        clusters={"": Up(endpoints=["refused"])},
        expect={"client.end": "fin", "log[0].flags": "UF,URX"},
    ),
    tcp("tcp_no_endpoints", clusters={"": Up(endpoints=[])}, expect={"log[0].flags": "UH"}),
    tcp("tcp_unknown_cluster", proxy={"cluster": "nowhere"}),
    tcp("tcp_idle", *TALK, proxy={"idle_timeout": "0.2s"}),
    tcp(
        "tcp_weighted",
        *TALK,
        HalfClose(),
        proxy={"cluster": None, "weighted_clusters": {"clusters": [{"name": "%CLUSTER%", "weight": 1}]}},
    ),
    tcp(
        "tcp_logs_when_connected",
        *TALK,
        HalfClose(),
        proxy={"access_log_options": {"flush_access_log_on_connected": True}},
        log=TYPE,
        lines=2,
        expect={"log[0].type": "TcpUpstreamConnected", "log[1].type": "TcpConnectionEnd"},
    ),
    tcp(
        "tcp_logs_in_progress",
        *TALK,
        Wait(0.3),
        HalfClose(),
        proxy={"access_log_options": {"access_log_flush_interval": "0.2s"}},
        log=TYPE,
        lines=2,
        expect={"log[0].type": "TcpPeriodic"},
    ),
    tcp(
        "tcp_duration",
        *TALK,
        proxy={"max_downstream_connection_duration": "0.3s"},
        expect={"client.end": "fin", "log[0].flags": "DT"},
    ),
    tcp(
        "tcp_connect_attempts_used_up",
        clusters={"": Up(endpoints=["refused"])},
        proxy={"max_connect_attempts": 3},
        expect={"log[0].attempts": 3},
        stats=(*STATS, "cluster.%CLUSTER%.upstream_cx_connect_attempts_exceeded"),
    ),
    tcp(
        "tcp_second_attempt_connects",
        *TALK,
        HalfClose(),
        clusters={"": Up(endpoints=["refused", "up"], fields={"lb_policy": "ROUND_ROBIN"})},
        proxy={"max_connect_attempts": 2},
        # which host is first is drawn at the start
        ignore=["log[0].attempts", "log[0].failure", "log[0].flags", "stats"],
        expect={"client.tunnel": b"welcome!"},
    ),
    tcp(
        "tcp_hashes_the_source",
        Write(HELLO),
        Wait(0.1),
        HalfClose(),
        clusters={"": Up(endpoints=[f"shared{n}" for n in range(6)], fields={"lb_policy": "MAGLEV"})},
        proxy={"hash_policy": [{"source_ip": {}}]},
        ignore=["upstream", "client", "stats", "log[0].bytes_sent"],
    ),
    tcp(
        "tcp_connection_limit",
        clusters={"": Up(fields={"circuit_breakers": {"thresholds": [{"max_connections": 0}]}})},
    ),
)
