"""Which exchanges an access log is told of: a `LogFilter` compiled to one predicate of `(exchange, now)`."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from mesh.cel.evaluate import Evaluated
from sidecar.config.log_filter_model import (
    AllOf,
    AnyOf,
    Compares,
    HasFlag,
    HasGrpcStatus,
    HasHeader,
    HasLogType,
    HasMetadata,
    Holds,
    LogFilter,
    Measured,
    NoHealthCheck,
    Sampled,
    Traced,
)
from sidecar.http.exchange import UNCOUNTED
from sidecar.http.response_flags import Flag
from sidecar.router.match import header_predicate
from sidecar.telemetry.cel import Subject, compile_expression
from sidecar.telemetry.expression import Occasion
from sidecar.telemetry.measures import grpc_status

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

Wanted = Callable[["Exchange", float], bool]

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "EQ": operator.eq,
    "GE": operator.ge,
    "LE": operator.le,
    "NE": operator.ne,
}
_FORCED = b"a"  # the digit of a request id that says that its trace was asked for
_DIGIT = 14


def compile_filter(config: LogFilter, occasion: Occasion, rng: random.Random) -> Wanted:
    """`occasion` is what the log that asks writes of."""
    log_type = occasion.log_type
    match config:
        case AllOf(filters):
            parts = [compile_filter(each, occasion, rng) for each in filters]
            return lambda exchange, now: all(part(exchange, now) for part in parts)
        case AnyOf(filters):
            parts = [compile_filter(each, occasion, rng) for each in filters]
            return lambda exchange, now: any(part(exchange, now) for part in parts)
        case HasLogType(types, exclude):
            return _always((log_type in types) != exclude)
        case HasMetadata(when_missing):
            return _always(when_missing)
        case Sampled():
            return _sampled(config, rng)
        case Holds(expression):
            return _holds(compile_expression(expression, occasion.filter_chain))
        case Compares(what, name, value):
            return _compares(what, _OPERATORS[name], value)
        case _:
            return _of_exchange(config)


def _of_exchange(config: NoHealthCheck | Traced | HasHeader | HasFlag | HasGrpcStatus) -> Wanted:
    """Those that need no more than to look."""
    match config:
        case NoHealthCheck():
            return lambda exchange, now: exchange.kept(UNCOUNTED) is None
        case Traced():
            return lambda exchange, now: exchange.trace is not None and exchange.request_id[_DIGIT:].startswith(_FORCED)
        case HasHeader(matcher):
            matches = header_predicate(matcher)
            return lambda exchange, now: matches(exchange)
        case HasFlag(flags):
            mask = sum(Flag[name] for name in flags) or -1
            return lambda exchange, now: exchange.flags & mask != 0
        case HasGrpcStatus(statuses, exclude):
            return lambda exchange, now: (grpc_status(exchange) in statuses) != exclude


def _always(answer: bool) -> Wanted:
    return lambda exchange, now: answer


def _holds(holds: Evaluated) -> Wanted:
    return lambda exchange, now: holds(Subject(exchange, now)) is True


def _compares(what: Measured, compare: Callable[[int, int], bool], value: int) -> Wanted:
    if what is Measured.STATUS:
        return lambda exchange, now: compare(exchange.status, value)
    return lambda exchange, now: compare(int((now - exchange.started) * 1000), value)


def _sampled(config: Sampled, rng: random.Random) -> Wanted:
    numerator, denominator = config.numerator, config.denominator

    def sampled(exchange: Exchange, _now: float) -> bool:
        number = None if config.independent else request_number(exchange.request_id)
        if number is None:
            number = rng.randrange(denominator)
        return number % denominator < numerator

    return sampled


def request_number(request_id: bytes) -> int | None:
    """What every proxy on a request's way draws from its id; None for an id that is no UUID."""
    if len(request_id) != 36:
        return None
    try:
        return int(request_id[:8], 16)
    except ValueError:
        return None
