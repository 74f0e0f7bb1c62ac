"""Envoy's response flags and code details in plain English.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

from __future__ import annotations

from typing import Final

FLAGS: Final = {
    "UH": "no healthy host in the cluster",
    "UF": "no connection to the host",
    "UO": "a limit of the cluster's circuit breaker was reached",
    "NR": "no route: no virtual host, filter chain or rule was for it",
    "NC": "the rule names a cluster that does not exist: an unknown host, port or subset",
    "URX": "all retries are used up, or there was none to have",
    "UC": "the host closed the connection before it answered",
    "UR": "the host reset the stream",
    "UT": "no answer in time",
    "LR": "reset here",
    "LH": "this proxy fails its own health check",
    "DC": "the client closed the connection before the answer was there",
    "DR": "the client reset the stream",
    "DI": "a fault was injected: a delay",
    "FI": "a fault was injected: an answer",
    "RL": "the rate limit was reached",
    "RLSE": "the rate limit service failed",
    "UAEX": "the authorization service said no",
    "SI": "nothing moved for too long (idle time-out)",
    "IH": "a header that must be valid is not",
    "DPE": "what the client sent is no HTTP",
    "UPE": "what the host sent is no HTTP",
    "UMSDR": "an attempt took longer than it may",
    "DT": "the connection or the request took longer than it may",
    "OM": "the proxy has too much to do",
    "DF": "the name of the upstream cannot be looked up",
    "DO": "dropped by a drop_overload policy",
    "RFCF": "what a filter cached is too old, and a fresh one was not to be had",
    "NFCF": "a filter's configuration is missing",
}
DETAILS: Final = {
    "via_upstream": "the host's own answer",
    "direct_response": "answered by the rule itself",
    "route_not_found": "no route",
    "cluster_not_found": "no such cluster",
    "no_healthy_upstream": "no healthy host",
    "response_timeout": "the route's time-out was over",
    "upstream_per_try_timeout": "the time-out of one try was over",
    "fault_filter_abort": "a fault was injected",
    "mesh_circuit_breaker_open": "the three-state circuit breaker is open",
    "local_rate_limited": "the rate limit was reached",
    "downstream_remote_disconnect": "the client went away",
    "internal_redirect": "a redirect that was followed here",
}


def flags_in_words(flags: str) -> list[str]:
    """One sentence for each flag of a log line (`URX,UF`); none for `-`."""
    return [
        f"{flag}: {FLAGS.get(flag, 'a flag that is not known here')}"
        for flag in flags.split(",")
        if flag not in ("", "-")
    ]


def details_in_words(details: str) -> str:
    """%RESPONSE_CODE_DETAILS% in words, or as it is."""
    if (known := DETAILS.get(details)) is not None:
        return known
    for before in ("upstream_reset_before_response_started{", "upstream_reset_after_response_started{"):
        if details.startswith(before):
            when = "before" if "before" in before else "in the middle of"
            return f"{details[len(before) : -1].replace('_', ' ').replace('|', ': ')}, {when} the answer"
    return details.replace("_", " ")
