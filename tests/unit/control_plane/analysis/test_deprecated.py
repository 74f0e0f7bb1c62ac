"""Old spellings."""

from tests.unit.control_plane.analysis.support import RATINGS, REVIEWS, TO_REVIEWS, analysed, codes, route


def test_shares_of_mirrors_and_delays() -> None:
    mirror = f"{{{TO_REVIEWS}, mirror: {{host: ratings}}, %s}}"
    (found,) = analysed(REVIEWS, RATINGS, route(mirror % "mirrorPercent: 5"))
    assert (found.code.number, found.field) == ("IST0002", "spec.http[0].mirrorPercent")
    assert found.message == "Deprecated: HTTPRoute.mirrorPercent is deprecated; use HTTPRoute.mirrorPercentage"
    assert codes(REVIEWS, RATINGS, route(mirror % "mirrorPercentage: {value: 5}")) == []
    (found,) = analysed(REVIEWS, route(f"{{{TO_REVIEWS}, fault: {{delay: {{fixedDelay: 1s, percent: 5}}}}}}"))
    assert (found.code.number, found.field) == ("IST0002", "spec.http[0].fault.delay.percent")
