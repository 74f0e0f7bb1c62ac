"""Messages that several resources are made of: addresses, header changes, string matchers, data sources."""

from __future__ import annotations

import functools
import ipaddress
import os
from pathlib import Path
from typing import Any

import re2

from mesh.errors import ConfigError
from sidecar.config.model import (
    NO_OPS,
    Address,
    AppendAction,
    HeaderAdd,
    HeaderOps,
    StringMatch,
    StringMatcher,
)
from sidecar.config.reader import Reader, is_ip
from sidecar.telemetry.formatter import compile_format

_QUIET = re2.Options()
_QUIET.log_errors = False

MAX_PIPE_PATH = 107  # the system's, without the zero at its end
RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"


def address(reader: Reader | None, *, names: bool = False, pipes: bool = False) -> Address:
    """A TCP socket address; a host name only where `names` says so, a Unix domain socket only with `pipes`."""
    if reader is None:
        return Address("", 0)
    if pipes and (pipe := reader.child("pipe")) is not None:
        return _pipe(pipe)
    for other in ("envoy_internal_address",) if pipes else ("pipe", "envoy_internal_address"):
        reader.refuse(other)
    socket = reader.child("socket_address")
    if socket is None:
        return Address("", 0)
    socket.only("protocol", "TCP")
    for field in ("named_port", "resolver_name", "ipv4_compat", "network_namespace_filepath"):
        socket.refuse(field)
    host = socket.text("address")
    if host and not names and not is_ip(host):
        socket.problem(f"{host!r} is not an IP address", "address")
    return Address(host, socket.number("port_value"))


def _pipe(reader: Reader) -> Address:
    path = reader.text("path")
    reader.number("mode")  # of a socket that is opened, which is the app's business
    if path[:1] not in ("/", "@") or len(path.encode()) > MAX_PIPE_PATH:
        reader.problem(f"must be a path from / on, or @ and a name, of {MAX_PIPE_PATH} bytes at the most", "path")
    return Address(path, 0)


def cidr(reader: Reader) -> str:
    """A CidrRange as text, host bits cleared."""
    prefix, length = reader.text("address_prefix"), reader.number("prefix_len")
    try:
        return str(ipaddress.ip_network(f"{prefix}/{length}", strict=False))
    except ValueError:
        reader.problem(f"{prefix}/{length} is not an address range")
        return ""


def regex(reader: Reader | None) -> str:
    """A RegexMatcher's RE2 pattern, checked."""
    if reader is None:
        return ""
    if (engine := reader.child("google_re2")) is not None:
        engine.number("max_program_size")  # deprecated; Envoy's own limit is a warning only
    pattern = reader.text("regex")
    check_regex(reader, pattern, "regex")
    return pattern


def check_regex(reader: Reader, pattern: str, field: str) -> None:
    try:
        re2.compile(pattern, _QUIET)
    except re2.error as error:
        detail = error.args[0] if error.args else error
        reader.problem(f"bad regex: {detail.decode() if isinstance(detail, bytes) else detail}", field)


def substitution(reader: Reader | None) -> tuple[str, str] | None:
    """A RegexMatchAndSubstitute: (pattern, rewrite with \\1)."""
    if reader is None:
        return None
    pattern, rewrite = regex(reader.child("pattern")), reader.text("substitution")
    groups = _groups(pattern)
    used = [int(after[0]) for after in rewrite.split("\\")[1:] if after[:1].isdigit()]
    if groups is not None and used and max(used) > groups:
        reader.problem(f"\\{max(used)} needs as many groups; the pattern has {groups}", "substitution")
    return pattern, rewrite


def _groups(pattern: str) -> int | None:
    try:
        return int(re2.compile(pattern, _QUIET).groups)
    except re2.error:
        return None  # reported where the pattern was read


def string_matcher(reader: Reader) -> StringMatcher:
    ignore_case = reader.flag("ignore_case")
    kind = reader.one_of("exact", "prefix", "suffix", "contains", "safe_regex")
    if kind == "safe_regex":
        if ignore_case:
            reader.problem("ignore_case has no effect for safe_regex", "ignore_case")
        return StringMatcher(StringMatch.REGEX, regex(reader.child(kind)))
    if not kind:
        return StringMatcher(StringMatch.EXACT, "")
    return StringMatcher(StringMatch(kind), reader.text(kind), ignore_case)


def header_ops(reader: Reader, prefix: str) -> HeaderOps:
    """`<prefix>_headers_to_add` and `<prefix>_headers_to_remove`."""
    added = reader.children(f"{prefix}_headers_to_add")
    removed = reader.values(f"{prefix}_headers_to_remove")
    if not added and not removed:
        return NO_OPS
    for name in removed:
        if not _modifiable(name):
            reader.problem(f"{name!r}: host and names with a colon cannot be removed", f"{prefix}_headers_to_remove")
    return HeaderOps(
        tuple(header_add(each) for each in added), tuple(name.lower().encode("latin-1", "replace") for name in removed)
    )


def headers_to_add(reader: Reader, field: str) -> HeaderOps:
    """A repeated HeaderValueOption."""
    return HeaderOps(tuple(header_add(each) for each in reader.children(field)))


def header_add(reader: Reader) -> HeaderAdd:
    header = reader.child("header")
    name, value = "", ""
    if header is not None:
        name, value = header.text("key"), header.text("value")
        raw = header.octets("raw_value")
        if raw and value:
            header.problem("only one of value and raw_value may be set", "raw_value")
        value = value or raw.decode("latin-1")
        if not _modifiable(name):
            header.problem(f"{name!r}: host and names with a colon cannot be changed here", "key")
        if "%" in value and (says := _bad_format(value)):
            header.problem(says, "value")
    action = AppendAction[_ACTIONS[reader.enum("append_action")]]
    if reader.has("append"):  # deprecated, and still what most examples use
        if action is not AppendAction.APPEND:
            reader.problem("only one of append and append_action may be set", "append")
        action = AppendAction.APPEND if reader.flag("append") else AppendAction.OVERWRITE
    keep_empty = reader.flag("keep_empty_value")
    return HeaderAdd(name.lower().encode("latin-1", "replace"), value, action, keep_empty)


def header_format(reader: Reader, field: str) -> str:
    """A string that may hold the %COMMAND%s of header values, checked."""
    value = reader.text(field)
    if "%" in value and (says := _bad_format(value)):
        reader.problem(says, field)
    return value


@functools.lru_cache(4096)
def _bad_format(value: str) -> str:
    """What is wrong with the %COMMAND%s of a header value, or ''."""
    try:
        compile_format(value)
    except ConfigError as error:
        return "; ".join(problem.message for problem in error.problems)
    return ""


_ACTIONS = {action.value: action.name for action in AppendAction}


def _modifiable(name: str) -> bool:
    return not name.startswith(":") and name.lower() != "host"


def data_source(reader: Reader) -> bytes:
    """A DataSource's content, read now."""
    reader.refuse("watched_directory")
    kind = reader.one_of("filename", "inline_bytes", "inline_string", "environment_variable")
    if kind == "inline_bytes":
        return reader.octets(kind)
    text = reader.text(kind) if kind else ""
    if kind in ("filename", "environment_variable"):
        reader.from_outside()
    if kind == "filename":
        try:
            return Path(text).read_bytes()
        except OSError as error:
            reader.problem(f"cannot be read: {error.strerror}", kind)
    elif kind == "environment_variable":
        if (value := os.environ.get(text)) is not None:
            return value.encode()
        reader.problem(f"there is no environment variable {text}", kind)
    return text.encode()


def plaintext(reader: Reader) -> None:
    """A `transport_socket`: raw_buffer is all there is."""
    socket = reader.child("transport_socket")
    if socket is None:
        return
    socket.text("name")
    kind, _ = socket.unpacked()
    if kind != RAW_BUFFER:
        socket.problem(f"{kind or 'no type'} is not implemented, only {RAW_BUFFER} is", "typed_config")


def typed(reader: Reader, known: dict[str, Any], what: str) -> tuple[str, Reader | None]:
    """A {name, typed_config} pair whose type must be one of `known`; ('', None) after reporting any other."""
    return named(reader, known, what)[1:]


def named(reader: Reader, known: dict[str, Any], what: str) -> tuple[str, str, Reader | None]:
    """The same with the name in front."""
    name = reader.text("name")
    kind, config = reader.unpacked()
    if kind in known and config is not None:
        return name, kind, config
    shown = kind or f"{name} without typed_config"
    reader.problem(f"{shown} is not an implemented {what}; implemented: {', '.join(known)}", "typed_config")
    return name, "", None
