"""The cases, a module a topic, each with a tuple `CASES`. A topic's cases share one pair of proxies."""

from tests.oracle.case import Case
from tests.oracle.topics import (
    access_log,
    balancing,
    bodies,
    codec_requests,
    codec_responses,
    connections,
    cors,
    faults,
    forwarded,
    headers,
    internal,
    local_replies,
    redirects,
    retries,
    routing,
    tcp,
    timeouts,
    upgrades,
)

TOPICS: dict[str, tuple[Case, ...]] = {
    "access_log": access_log.CASES,
    "balancing": balancing.CASES,
    "bodies": bodies.CASES,
    "codec_requests": codec_requests.CASES,
    "codec_responses": codec_responses.CASES,
    "connections": connections.CASES,
    "cors": cors.CASES,
    "faults": faults.CASES,
    "forwarded": forwarded.CASES,
    "headers": headers.CASES,
    "internal": internal.CASES,
    "local_replies": local_replies.CASES,
    "redirects": redirects.CASES,
    "retries": retries.CASES,
    "routing": routing.CASES,
    "tcp": tcp.CASES,
    "timeouts": timeouts.CASES,
    "upgrades": upgrades.CASES,
}
