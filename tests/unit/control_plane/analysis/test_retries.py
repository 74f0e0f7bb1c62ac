"""Retries that multiply along a chain."""

from collections.abc import Mapping, Sequence

from tests.unit.control_plane.analysis.support import RATINGS, REVIEWS, analysed, document, route

PAGE = REVIEWS.replace("reviews", "page")
CALLS = {
    "page.default.svc.cluster.local": ["reviews.default.svc.cluster.local"],
    "reviews.default.svc.cluster.local": ["ratings.default.svc.cluster.local"],
}


def retried(host: str, attempts: int) -> str:
    return route(
        f"{{route: [{{destination: {{host: {host}}}}}], retries: {{attempts: {attempts}}}}}", name=host, host=host
    )


def said(reviews: int, ratings: int, calls: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    found = analysed(PAGE, REVIEWS, RATINGS, retried("reviews", reviews), retried("ratings", ratings), calls=calls)
    return [(each.code.number, each.key.name, each.message) for each in found]


def test_each_hop_multiplies() -> None:
    ((code, name, message),) = said(3, 3, CALLS)
    assert (code, name) == ("MESH0008", "ratings")
    assert message.startswith("one request to page.default may become 16 to ratings.default: ")
    assert "page.default → reviews.default (×4) → ratings.default (×4)" in message


def test_few_tries_and_single_hops_are_fine() -> None:
    assert said(2, 2, CALLS) == []
    assert said(20, 20, {"page.default.svc.cluster.local": ["reviews.default.svc.cluster.local"]}) == []
    assert said(3, 3, {}) == []


def test_a_circle_is_gone_round_once() -> None:
    host = "reviews.default.svc.cluster.local"
    circle = {**CALLS, "ratings.default.svc.cluster.local": [host]}
    messages = [message for _, _, message in said(3, 3, circle)]
    assert all(" 16 to " in message for message in messages)
    assert messages


def test_who_calls_whom_is_what_sidecars_import() -> None:
    def imports(name: str, called: str) -> str:
        selector = f"workloadSelector: {{labels: {{app: {name}}}}}"
        return document(
            "Sidecar", name, f"{{{selector}, egress: [{{hosts: ['./{called}.default.svc.cluster.local']}}]}}"
        )

    sidecars = (imports("page", "reviews"), imports("reviews", "ratings"))
    found = analysed(PAGE, REVIEWS, RATINGS, retried("reviews", 3), retried("ratings", 3), *sidecars)
    assert [each.code.number for each in found] == ["MESH0008"]
