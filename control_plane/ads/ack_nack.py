"""ACK, NACK or neither: what a request says of the responses before it
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#ack). Decides, and changes nothing."""

from __future__ import annotations

from enum import Enum

from control_plane.ads.subscription import Request, SotwRequest, Subscription


class Verdict(Enum):
    """What a request says about the responses before it."""

    FIRST = "first"  # of its type on this stream
    ASK = "ask"  # says nothing about any response; may change the names
    ACK = "ack"
    NACK = "nack"
    STALE = "stale"  # about a response that a later one has replaced


def judge(subscription: Subscription | None, request: Request) -> Verdict:
    """What the request says about earlier responses of its type. A nonce that was never sent on this stream, or was
    answered long ago, says nothing that still counts."""
    if subscription is None:
        return Verdict.FIRST
    if not request.nonce:
        return Verdict.ASK
    flight = subscription.flights.get(request.nonce)
    if flight is None:
        return Verdict.ASK if request.nonce == subscription.nonce else Verdict.STALE
    if request.error is not None:
        return Verdict.NACK
    if isinstance(request, SotwRequest) and request.version != flight.version:
        return Verdict.ASK  # names changed before the response was dealt with: neither word on it
    return Verdict.ACK
