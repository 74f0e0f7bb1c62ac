"""AccessLog → AccessLog: files and the standard streams, text or JSON, and which exchanges are told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StderrAccessLog, StdoutAccessLog
from envoy.extensions.formatter.metadata.v3.metadata_pb2 import Metadata
from envoy.extensions.formatter.req_without_query.v3.req_without_query_pb2 import ReqWithoutQuery

from mesh.errors import ConfigError
from sidecar.config.common import data_source, typed
from sidecar.config.log_filter import log_filter
from sidecar.config.model import AccessLog
from sidecar.config.reader import Reader
from sidecar.telemetry.formatter import commands_of, compile_json, compile_text
from sidecar.telemetry.measures import METERED

_FILE: Final = FileAccessLog.DESCRIPTOR.full_name
_STREAMS: Final = {StdoutAccessLog.DESCRIPTOR.full_name: "stdout", StderrAccessLog.DESCRIPTOR.full_name: "stderr"}
_TYPES: Final = {_FILE: None, **_STREAMS}
_WITHOUT_QUERY: Final = ReqWithoutQuery.DESCRIPTOR.full_name
_FORMATTERS: Final = {_WITHOUT_QUERY: None, Metadata.DESCRIPTOR.full_name: None}
_DEVICES: Final = {"/dev/stdout": "stdout", "/dev/stderr": "stderr"}


def access_logs(reader: Reader) -> tuple[AccessLog, ...]:
    """The `access_log` of a connection manager or a TCP proxy."""
    return tuple(log for each in reader.children("access_log") if (log := _access_log(each)) is not None)


def _access_log(reader: Reader) -> AccessLog | None:
    told = log_filter(reader)
    kind, config = typed(reader, _TYPES, "access log")
    if config is None:
        return None
    if kind == _FILE:
        path = config.text("path")
        target = _DEVICES.get(path, path)
    else:
        target = _STREAMS[kind]
    made = _format(config, kind == _FILE)
    return AccessLog(target, made.text, made.json, made.omit_empty, told, not METERED.isdisjoint(made.commands))


@dataclass(frozen=True, slots=True)
class Format:
    """A format that compiles (or was reported): text or JSON, and the names of the commands in it."""

    text: str | None = None
    json: Mapping[str, Any] | None = None
    omit_empty: bool = False
    commands: frozenset[str] = frozenset()


def _format(config: Reader, is_file: bool) -> Format:
    log_format = config.child("log_format")
    if log_format is not None:
        return substitution_format(log_format)
    if is_file and config.has("format"):
        text = config.text("format")
        return Format(text, commands=_checked(config, "format", compile_text, text)) if text else Format()
    for field in ("json_format", "typed_json_format") if is_file else ():
        if config.has(field):
            fields = config.struct(field)
            return Format(None, fields, commands=_checked(config, field, compile_json, fields))
    return Format()


def substitution_format(reader: Reader) -> Format:
    """A SubstitutionFormatString, without its `content_type`."""
    added = [typed(each, _FORMATTERS, "formatter")[0] for each in reader.children("formatters")]
    omit_empty = reader.flag("omit_empty_values")
    options = reader.child("json_format_options")
    if options is not None:
        options.flag("sort_properties")  # the order of a JSON object's members means nothing
    if reader.has("json_format"):
        field, fields = "json_format", reader.struct("json_format")
        made = Format(None, fields, omit_empty, _checked(reader, field, compile_json, fields))
    else:
        if (source := reader.child("text_format_source")) is not None:
            field, text = "text_format_source", data_source(source).decode("utf-8", "replace")
        else:
            field, text = "text_format", reader.text("text_format")
        made = Format(text, None, omit_empty, _checked(reader, field, compile_text, text))
    if "REQ_WITHOUT_QUERY" in made.commands and _WITHOUT_QUERY not in added:
        reader.problem(f"REQ_WITHOUT_QUERY needs the formatter {_WITHOUT_QUERY}", field)
    return made


def _checked(reader: Reader, field: str, compile_format: Callable[[Any], object], value: Any) -> frozenset[str]:
    """The commands of a format, once its compiler has taken it."""
    try:
        compile_format(value)
        return frozenset(commands_of(value))
    except ConfigError as error:
        for problem in error.problems:
            reader.problem(problem.message, field)
        return frozenset()
