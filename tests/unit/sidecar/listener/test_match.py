"""Filter-chain match and the first bytes of a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import Address, FilterChain, FilterChainMatch, Listener, TcpProxy
from sidecar.listener.inspect import Found, look
from sidecar.listener.match import Facts, find_chain

TCP = TcpProxy("t", ())


def chain(name: str, **match: object) -> FilterChain:
    return FilterChain(name, FilterChainMatch(**match), TCP)  # type: ignore[arg-type]


def choose(*chains: FilterChain, default: FilterChain | None = None, **facts: object) -> str | None:
    known = {"destination": Address("10.0.0.5", 80), "source": Address("10.1.0.1", 5000)} | facts
    listener = Listener("l", Address("0.0.0.0", 15001), chains, default_chain=default)
    found = find_chain(listener, Facts(**known))  # type: ignore[arg-type]
    return found.name if found else None


def test_port_before_everything_else() -> None:
    assert choose(chain("range", destination_ranges=("10.0.0.5/32",)), chain("port", destination_port=80)) == "port"


def test_the_longest_range_wins() -> None:
    ranges = [chain("wide", destination_ranges=("10.0.0.0/8",)), chain("narrow", destination_ranges=("10.0.0.0/24",))]
    assert choose(*ranges) == "narrow"


def test_nothing_matches() -> None:
    assert choose(chain("p", destination_port=81)) is None
    assert choose(chain("p", destination_port=81), default=chain("d")) == "d"


def test_server_names() -> None:
    chains = [chain("any"), chain("wild", server_names=("*.a.b",)), chain("exact", server_names=("x.a.b",))]
    assert choose(*chains, transport="tls", server_name="x.a.b") == "exact"
    assert choose(*chains, transport="tls", server_name="y.a.b") == "wild"
    assert choose(*chains, transport="tls", server_name="a.b") == "any"


def test_application_protocol() -> None:
    chains = [chain("tcp"), chain("http", application_protocols=("http/1.1", "h2c"))]
    assert choose(*chains, protocols=("http/1.1",)) == "http"
    assert choose(*chains) == "tcp"


def test_sources() -> None:
    near = Address("10.1.0.1", 5000)
    chains = [
        chain("any"),
        chain("direct", direct_source_ranges=("10.1.0.0/16",)),
        chain("wide", source_ranges=("10.1.0.1/32",)),
    ]
    assert choose(*chains, source=near) == "direct"
    assert choose(*chains, source=Address("10.2.0.1", 5000)) == "any"
    ports = [chain("any"), chain("port", source_ports=(5000, 5001))]
    assert choose(*ports, source=near) == "port"
    assert choose(*ports, source=Address("10.1.0.1", 5002)) == "any"


@pytest.mark.parametrize(
    ("source", "kind"),
    [("127.0.0.9", "local"), ("::1", "local"), ("10.0.0.5", "local"), ("10.0.0.6", "far"), ("", None)],
)
def test_where_it_comes_from(source: str, kind: str | None) -> None:
    chains = [chain("local", source_type="SAME_IP_OR_LOOPBACK"), chain("far", source_type="EXTERNAL")]
    assert choose(*chains, source=Address(source, 1)) == kind


def test_what_was_decided_is_not_reconsidered() -> None:
    chains = [chain("port", destination_port=80, source_ports=(1,)), chain("any")]
    assert choose(*chains) is None


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"GET /x HTTP/1.1\r\n", Found(protocols=("http/1.1",))),
        (b"GET /x HTTP/1.0\r\n", Found(protocols=("http/1.0",))),
        (b"GE", None),
        (b"GET /x", None),
        (b"SSH-2.0", Found()),
        (b"PRI * HTTP/2.0\r\n", Found(protocols=("h2c",))),
        (b"PR", None),
        (b"\x00\x01", Found()),
    ],
)
def test_http_is_recognised(data: bytes, found: Found | None) -> None:
    assert look(data, http=True, tls=True) == found


@given(st.binary(min_size=1, max_size=400))
def test_any_bytes_are_something(data: bytes) -> None:
    look(b"\x16\x03\x01" + data, http=True, tls=True)
    look(data, http=True, tls=True)
