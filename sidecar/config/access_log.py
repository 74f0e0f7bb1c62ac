"""AccessLog → AccessLog: files and the standard streams, text or JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StderrAccessLog, StdoutAccessLog

from mesh.errors import ConfigError
from sidecar.config.common import data_source, typed
from sidecar.config.model import AccessLog
from sidecar.config.reader import Reader
from sidecar.telemetry.formatter import compile_json, compile_text

_FILE: Final = FileAccessLog.DESCRIPTOR.full_name
_STREAMS: Final = {StdoutAccessLog.DESCRIPTOR.full_name: "stdout", StderrAccessLog.DESCRIPTOR.full_name: "stderr"}
_TYPES: Final = {_FILE: None, **_STREAMS}
_DEVICES: Final = {"/dev/stdout": "stdout", "/dev/stderr": "stderr"}


def access_logs(reader: Reader) -> tuple[AccessLog, ...]:
    """The `access_log` of a connection manager or a TCP proxy."""
    return tuple(log for each in reader.children("access_log") if (log := _access_log(each)) is not None)


def _access_log(reader: Reader) -> AccessLog | None:
    kind, config = typed(reader, _TYPES, "access log")
    if config is None:
        return None
    if kind == _FILE:
        path = config.text("path")
        target = _DEVICES.get(path, path)
    else:
        target = _STREAMS[kind]
    log_format = config.child("log_format")
    if log_format is not None:
        return _formatted(target, log_format)
    if kind != _FILE:
        return AccessLog(target)
    if config.has("format"):
        text = config.text("format")
        return AccessLog(target, text=_checked(config, "format", compile_text, text) if text else None)
    for field in ("json_format", "typed_json_format"):
        if config.has(field):
            return AccessLog(target, json=_checked(config, field, compile_json, config.struct(field)))
    return AccessLog(target)


def _formatted(target: str, reader: Reader) -> AccessLog:
    """A SubstitutionFormatString."""
    options = reader.child("json_format_options")
    if options is not None:
        options.flag("sort_properties")  # the order of a JSON object's members means nothing
    if reader.has("json_format"):
        return AccessLog(target, json=_checked(reader, "json_format", compile_json, reader.struct("json_format")))
    if (source := reader.child("text_format_source")) is not None:
        field, text = "text_format_source", data_source(source).decode("utf-8", "replace")
    else:
        field, text = "text_format", reader.text("text_format")
    return AccessLog(target, text=_checked(reader, field, compile_text, text))


def _checked(reader: Reader, field: str, compile_format: Callable[[Any], object], value: Any) -> Any:
    """The format itself, once its compiler has taken it."""
    try:
        compile_format(value)
    except ConfigError as error:
        for problem in error.problems:
            reader.problem(problem.message, field)
    return value
