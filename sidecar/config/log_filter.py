"""AccessLogFilter → LogFilter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter

from mesh.cel.check import Type
from mesh.cel.syntax import CelError
from sidecar.config.common import typed
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
from sidecar.config.match import header_matcher
from sidecar.config.model import MILLION
from sidecar.config.reader import UNITS, Reader
from sidecar.telemetry.cel import log_filter_type

_EXTENSIONS: Final = {ExpressionFilter.DESCRIPTOR.full_name: None}


def log_filter(parent: Reader, field: str = "filter") -> LogFilter | None:
    """The filter in a field of `parent`, None where there is none (or none that can be had)."""
    reader = parent.child(field)
    return None if reader is None else _filter(reader)


def _filter(reader: Reader) -> LogFilter | None:
    kind = reader.one_of(*_KINDS, "extension_filter")
    if kind == "extension_filter":
        return _extension(reader)
    config = reader.child(kind) if kind else None
    return None if config is None else _KINDS[kind](config)


def _extension(parent: Reader) -> LogFilter | None:
    reader = parent.child("extension_filter")
    if reader is None:
        return None
    _, config = typed(reader, _EXTENSIONS, "access log filter")
    if config is None:
        return None
    expression = config.text("expression")
    try:
        said = log_filter_type(expression)
    except CelError as error:
        config.problem(str(error), "expression")
        return None
    if said is not Type.BOOL:
        config.problem(f"must say true or false, not {said}", "expression")
        return None
    return Holds(expression)


def _compares(what: Measured) -> Callable[[Reader], LogFilter]:
    def compile(reader: Reader) -> LogFilter:
        comparison = reader.child("comparison")
        if comparison is None:
            return Compares(what, "EQ", 0)
        value = comparison.child("value")
        number = 0
        if value is not None:
            number = value.number("default_value")
            value.text("runtime_key")
        return Compares(what, comparison.enum("op"), number)

    return compile


def _sampled(reader: Reader) -> LogFilter:
    reader.text("runtime_key")  # there is no runtime: nothing is overridden
    percent = reader.child("percent_sampled")
    independent = reader.flag("use_independent_randomness")
    if percent is None:
        return Sampled(0, 100, independent)
    unit = UNITS[min(percent.enum_number("denominator"), 2)]
    return Sampled(percent.number("numerator"), MILLION // unit, independent)


def _nested(reader: Reader) -> tuple[LogFilter, ...]:
    found = [_filter(each) for each in reader.children("filters")]
    return tuple(each for each in found if each is not None)


def _header(reader: Reader) -> LogFilter | None:
    header = reader.child("header")
    return None if header is None else HasHeader(header_matcher(header))


def _grpc_status(reader: Reader) -> LogFilter:
    return HasGrpcStatus(frozenset(int(each) for each in reader.values("statuses")), reader.flag("exclude"))


def _metadata(reader: Reader) -> LogFilter:
    if (matcher := reader.child("matcher")) is not None:
        matcher.skip()  # dynamic metadata is never there to be matched
    return HasMetadata(reader.flag("match_if_key_not_found", True))


def _log_type(reader: Reader) -> LogFilter:
    from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType

    names = frozenset(AccessLogType.Name(each) for each in reader.values("types"))
    return HasLogType(names, reader.flag("exclude"))


_KINDS: Final[dict[str, Callable[[Reader], LogFilter | None]]] = {
    "status_code_filter": _compares(Measured.STATUS),
    "duration_filter": _compares(Measured.DURATION),
    "not_health_check_filter": lambda _reader: NoHealthCheck(),
    "traceable_filter": lambda _reader: Traced(),
    "runtime_filter": _sampled,
    "and_filter": lambda reader: AllOf(_nested(reader)),
    "or_filter": lambda reader: AnyOf(_nested(reader)),
    "header_filter": _header,
    "response_flag_filter": lambda reader: HasFlag(reader.values("flags")),
    "grpc_status_filter": _grpc_status,
    "metadata_filter": _metadata,
    "log_type_filter": _log_type,
}
