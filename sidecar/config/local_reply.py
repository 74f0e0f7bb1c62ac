"""LocalReplyConfig → LocalReplies: what becomes of the answers that the proxy makes itself."""

from __future__ import annotations

from sidecar.config.access_log import substitution_format
from sidecar.config.common import data_source, headers_to_add
from sidecar.config.log_filter import log_filter
from sidecar.config.model import LocalReplies, ReplyFormat, ReplyMapping
from sidecar.config.reader import Reader
from sidecar.telemetry.measures import METERED


def local_replies(reader: Reader | None) -> LocalReplies | None:
    if reader is None:
        return None
    return LocalReplies(
        tuple(mapping for each in reader.children("mappers") if (mapping := _mapping(each)) is not None),
        _format(reader.child("body_format")),
    )


def _mapping(reader: Reader) -> ReplyMapping | None:
    wanted = log_filter(reader)
    body = reader.child("body")
    status = reader.optional_number("status_code")
    replaced = data_source(body) if body is not None else None
    override = _format(reader.child("body_format_override"))
    headers = headers_to_add(reader, "headers_to_add")
    return None if wanted is None else ReplyMapping(wanted, status, replaced, override, headers)


def _format(reader: Reader | None) -> ReplyFormat | None:
    if reader is None:
        return None
    made, content_type = substitution_format(reader), reader.text("content_type")
    for name in sorted(METERED & made.commands):
        reader.problem(f"%{name}% is known to access logs only")
    kind = content_type or ("text/plain" if made.json is None else "application/json")
    return ReplyFormat(kind.encode("latin-1", "replace"), made.text, made.json, made.omit_empty)
