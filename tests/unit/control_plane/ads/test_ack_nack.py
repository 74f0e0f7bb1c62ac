from __future__ import annotations

import pytest

from control_plane.ads.ack_nack import Verdict, judge
from control_plane.ads.subscription import Request
from tests.unit.control_plane.ads.test_subscription import delta, sotw, subscription


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        (sotw(), Verdict.ASK),
        (delta(), Verdict.ASK),
        (sotw("n2", "v2"), Verdict.ACK),
        (delta("n2"), Verdict.ACK),
        (sotw("n1", "v1"), Verdict.ACK),  # the first of two under way
        (sotw("n2", "v1"), Verdict.ASK),  # the version of before: says nothing about n2
        (sotw("n2", "v1", "bad"), Verdict.NACK),
        (delta("n2", "bad"), Verdict.NACK),
        (delta("n2", ""), Verdict.NACK),  # an error without a text is one
        (sotw("n0", "v0"), Verdict.STALE),
        (delta("n0"), Verdict.STALE),
        (delta("n0", "bad"), Verdict.STALE),
    ],
)
def test_verdicts(request_: Request, verdict: Verdict) -> None:
    assert judge(subscription(("n1", "v1"), ("n2", "v2")), request_) is verdict


def test_the_first_request_is_the_first_whatever_nonce_it_has() -> None:
    assert judge(None, sotw()) is Verdict.FIRST
    assert judge(None, sotw("old", "old")) is Verdict.FIRST
    assert judge(None, delta("old", "bad")) is Verdict.FIRST


def test_asking_again_after_an_answer_is_not_another_answer() -> None:
    state = subscription(("n1", "v1"))
    state.accept("n1", 1.0)
    assert judge(state, sotw("n1", "v1")) is Verdict.ASK
    assert judge(state, delta("n1")) is Verdict.ASK
