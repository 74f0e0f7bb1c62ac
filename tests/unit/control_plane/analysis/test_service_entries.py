"""ServiceEntries without addresses, and those that disagree."""

from tests.unit.control_plane.analysis.support import analysed, codes, document

ENTRY = "{hosts: [db.example.com], resolution: DNS, ports: [{number: 5432, name: db, protocol: %s}]%s}"


def test_tcp_without_an_address() -> None:
    (found,) = analysed(document("ServiceEntry", "db", ENTRY % ("TCP", "")))
    assert (found.code.number, found.field) == ("IST0134", "spec.ports[0]")
    assert found.message == "ServiceEntry addresses are required for this protocol."
    assert codes(document("ServiceEntry", "db", ENTRY % ("TCP", ", addresses: [10.0.0.9]"))) == []
    assert codes(document("ServiceEntry", "db", ENTRY % ("TLS", ""))) == []


def test_two_protocols_of_one_port() -> None:
    one, other = (
        document("ServiceEntry", name, ENTRY % (protocol, "")) for name, protocol in (("a", "TLS"), ("b", "HTTP"))
    )
    assert codes(one, other) == [("IST0177", "a"), ("IST0177", "b")]
    (found, _) = analysed(one, other)
    words = "ServiceEntries default/a, default/b define the same host db.example.com and port 5432"
    assert found.message.startswith(f"{words} with conflicting protocols: HTTP, TLS.")
    assert codes(one, one.replace("name: a", "name: c")) == []
    # not where nobody is told of both
    private = document("ServiceEntry", "b", ENTRY % ("HTTP", ", exportTo: ['.']"), namespace="other")
    closed = document("ServiceEntry", "a", ENTRY % ("TLS", ", exportTo: ['.']"))
    assert codes(closed, private) == []
