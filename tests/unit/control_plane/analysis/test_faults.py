"""Faults that cannot show what they are to show."""

import pytest

from tests.unit.control_plane.analysis.support import REVIEWS, TO_REVIEWS, analysed, codes, route

ABORT = "abort: {httpStatus: 503, percentage: {value: 50}}"
DELAY = "delay: {fixedDelay: 2s, percentage: {value: 50}}"


def test_a_fault_before_the_router_hides_its_retries() -> None:
    rule = f"{{{TO_REVIEWS}, retries: {{attempts: 3, retryOn: 5xx}}, fault: {{%s}}}}"
    (found,) = analysed(REVIEWS, route(rule % ABORT))
    assert (found.code.number, found.field) == ("MESH0005", "spec.http[0].fault")
    assert "so that the retries of this rule never see it" in found.message
    assert codes(REVIEWS, route(rule % f"at: upstream, {ABORT}")) == []


def test_a_delay_before_the_router_hides_its_timeout() -> None:
    rule = f"{{{TO_REVIEWS}, timeout: 1s, fault: {{%s}}}}"
    assert codes(REVIEWS, route(rule % DELAY)) == [("MESH0005", "rules")]
    assert codes(REVIEWS, route(rule % ABORT)) == []  # an abort takes no time


@pytest.mark.parametrize("fault", ["abort: {httpStatus: 503}", "delay: {fixedDelay: 1s, percentage: {value: 0}}"])
def test_a_fault_of_no_request(fault: str) -> None:
    assert codes(REVIEWS, route(f"{{{TO_REVIEWS}, fault: {{{fault}}}}}")) == [("MESH0009", "rules")]


def test_shares_of_some() -> None:
    old = "delay: {fixedDelay: 1s, percent: 5}"
    for fault, said in ((ABORT, []), (DELAY, []), (old, [("IST0002", "rules")])):
        assert codes(REVIEWS, route(f"{{{TO_REVIEWS}, fault: {{{fault}}}}}")) == said
