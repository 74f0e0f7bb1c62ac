"""Every destination of a VirtualService is looked at."""

from tests.unit.control_plane.analysis.support import RATINGS, REVIEWS, TO_REVIEWS, analysed, document, route


def fields(*documents: str) -> list[tuple[str, str]]:
    return [(found.code.number, found.field) for found in analysed(*documents)]


def test_copies_and_connections_too() -> None:
    rule = f"{{{TO_REVIEWS}, mirrors: [{{destination: {{host: nobody}}}}]}}"
    assert fields(REVIEWS, route(rule)) == [("IST0101", "spec.http[0].mirrors[0].destination.host")]
    rule = f"{{{TO_REVIEWS}, mirror: {{host: ratings, subset: v9}}}}"
    assert fields(REVIEWS, RATINGS, route(rule)) == [("IST0101", "spec.http[0].mirror.subset")]
    tcp = document(
        "VirtualService", "raw", "{hosts: [db.example.com], tcp: [{route: [{destination: {host: nobody}}]}]}"
    )
    assert fields(tcp) == [("IST0101", "spec.tcp[0].route[0].destination.host")]


def test_delegates() -> None:
    part = document("VirtualService", "part", f"{{http: [{{{TO_REVIEWS}}}]}}")
    root = route("{delegate: {name: part}}")
    assert fields(REVIEWS, root, part) == []
    assert fields(REVIEWS, root) == [("IST0101", "spec.http[0].delegate")]
