"""What an unaware app, and who calls it, sees of its proxy: nothing but that the mesh's rules hold."""

from __future__ import annotations

import contextlib
import ssl

import pytest

from tests.harness.namespaces import INSIDE, OUTSIDE
from tests.harness.process import wait_until
from tests.integration.transparent.conftest import APP_PORT, ELSEWHERE, UNDECLARED_PORT, Pod

NOWHERE = "10.96.0.99"
VIRTUAL, DATABASE = "10.96.0.10", "10.96.0.20"  # addresses that nobody has
REQUEST = r"GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"


# ── outbound ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["reviews", "details"])
def test_a_request_is_routed_by_its_host_not_by_where_it_was_sent(pod: Pod, name: str) -> None:
    answer = pod.get(VIRTUAL, 80, f"{name}.example")
    assert (answer.status, answer.about["name"]) == (200, name)
    assert answer.about["headers"]["host"] == f"{name}.example"
    assert answer.about["peer"] == INSIDE


def test_the_rules_of_a_virtual_service_hold(pod: Pod) -> None:
    answer = pod.get(VIRTUAL, 80, "reviews.example", "/facts/1")
    assert (answer.about["name"], answer.about["path"]) == ("details", "/details/1")


@pytest.mark.complaint(13)
def test_bytes_that_are_no_http_are_routed_by_their_virtual_address(pod: Pod) -> None:
    """The server speaks first: nobody waits to see what the client says."""
    assert pod.exchange(DATABASE, 5432, r"hello\n") == ("open", "database here\nhello\n")


def hello(name: str) -> str:
    """A client's first TLS message, which asks for a host, in escapes."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return "".join(f"\\x{byte:02x}" for byte in outgoing.read())


@pytest.mark.fault(18)
def test_tls_to_a_host_without_an_address_is_routed_by_its_name(pod: Pod) -> None:
    before = pod.stat("cluster.outbound|443||secret.example.upstream_cx_total")
    end, text = pod.exchange(NOWHERE, 443, hello("secret.example"))
    assert (end, text.partition("\n")[0]) == ("open", "database here")
    assert pod.stat("cluster.outbound|443||secret.example.upstream_cx_total") == before + 1


@pytest.mark.fault(18)
def test_bytes_to_a_host_without_an_address_are_routed_by_their_port(pod: Pod) -> None:
    assert pod.exchange(NOWHERE, 5434, r"hello\n") == ("open", "database here\nhello\n")


def test_an_unknown_destination_is_passed_through_to_where_it_was_going(pod: Pod) -> None:
    before = pod.stat("cluster.PassthroughCluster.upstream_cx_total")
    answer = pod.get(ELSEWHERE, 7000)
    assert (answer.status, answer.about["local"]) == (200, f"{ELSEWHERE}:7000")
    assert "x-request-id" not in answer.about["headers"]  # bytes, to the proxy
    assert pod.exchange(ELSEWHERE, 7001) == ("open", "unknown here\n")
    assert pod.stat("cluster.PassthroughCluster.upstream_cx_total") == before + 2


def test_an_unknown_host_on_a_known_port_is_passed_through_as_http(pod: Pod) -> None:
    before = pod.stat("cluster.PassthroughCluster.upstream_rq_total")
    answer = pod.get(ELSEWHERE, 80, "who.example")
    assert answer.status == 200, answer.text
    assert answer.about["local"] == f"{ELSEWHERE}:80"
    assert "x-request-id" in answer.about["headers"]
    assert pod.stat("cluster.PassthroughCluster.upstream_rq_total") == before + 1


def test_a_destination_that_refuses_ends_the_connection(pod: Pod) -> None:
    end, text = pod.exchange(ELSEWHERE, 7999, REQUEST.format("nobody"))
    assert (end in ("fin", "rst"), text) == (True, "")


# ── inbound ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_from_outside_comes_to_the_app_through_the_proxy(pod: Pod) -> None:
    before = pod.stat(f"cluster.inbound|{APP_PORT}||.upstream_rq_total")
    answer = pod.get(INSIDE, APP_PORT, outside=True)
    assert (answer.status, answer.about["name"], answer.about["local"]) == (200, "app", f"127.0.0.1:{APP_PORT}")
    assert "x-request-id" in answer.about["headers"]
    assert pod.stat(f"cluster.inbound|{APP_PORT}||.upstream_rq_total") == before + 1


def test_a_port_that_was_not_declared_is_reached_all_the_same(pod: Pod) -> None:
    before = pod.stat("cluster.InboundPassthroughCluster.upstream_cx_total")
    answer = pod.get(INSIDE, UNDECLARED_PORT, outside=True)
    assert (answer.status, answer.about["local"]) == (200, f"{INSIDE}:{UNDECLARED_PORT}")
    assert "x-request-id" not in answer.about["headers"]
    assert pod.stat("cluster.InboundPassthroughCluster.upstream_cx_total") == before + 1


def test_the_doors_of_the_proxy_are_open_and_its_admin_port_is_not(pod: Pod) -> None:
    assert pod.get(INSIDE, 15021, path="/healthz/ready", outside=True).status == 200
    assert pod.get(INSIDE, 15090, path="/stats/prometheus", outside=True).status == 200
    end, text = pod.exchange(INSIDE, 15000, REQUEST.format("x"), outside=True)
    assert (end in ("fin", "rst", "refused"), text) == (True, "")


# ── loops ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outside", [False, True], ids=["from the app", "from outside"])
@pytest.mark.parametrize("port", [15001, 15006])
def test_a_call_to_the_proxy_itself_does_not_loop(pod: Pod, port: int, outside: bool) -> None:
    counters = [f"cluster.{name}.upstream_cx_total" for name in ("PassthroughCluster", "InboundPassthroughCluster")]
    before = [pod.stat(name) for name in counters]
    # From the app, 15001 is the proxy that it may ask for something; what it is asked for here is nothing in the mesh.
    end, text = pod.exchange(INSIDE, port, r"\x01\x02 no http\r\n\r\n", outside=outside)
    assert end in ("fin", "rst")
    assert text == "" or text.startswith("HTTP/1.1 400 ")
    made = sum(pod.stat(name) for name in counters) - sum(before)
    assert made <= 1  # the way out to one's own address; what comes in there goes no further
    wait_until(lambda: pod.stat("cluster.InboundPassthroughCluster.upstream_cx_active") == 0, 5, "no connection left")


def test_nobody_outside_may_use_the_outbound_proxy(pod: Pod) -> None:
    ask = r"GET http://reviews.example/ HTTP/1.1\r\nHost: reviews.example\r\nConnection: close\r\n\r\n"
    end, text = pod.exchange(INSIDE, 15001, ask, outside=True)
    assert (end in ("fin", "rst"), text) == (True, "")
    assert pod.exchange("127.0.0.1", 15001, ask)[1].startswith("HTTP/1.1 200 ")


def test_an_app_may_call_itself(pod: Pod) -> None:
    assert pod.get(INSIDE, APP_PORT, "shop").about["name"] == "app"
    assert pod.get("127.0.0.1", APP_PORT).about["name"] == "app"


def test_it_still_serves_after_all_that(pod: Pod) -> None:
    assert pod.proxy.returncode is None
    assert pod.get(OUTSIDE, 8001, "reviews.example").about["name"] == "reviews"
