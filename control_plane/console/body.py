"""What clients send, checked: bodies and query words."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from aiohttp import web

from control_plane.console.errors import bad_request, unsupported
from control_plane.sources.source import Selection
from control_plane.store.texts import File

UTF_8: Final = "utf-8"
MAX_FILES: Final = 10_000  # in one request


async def read_object(request: web.Request, known: set[str]) -> dict[str, Any]:
    """The body, a JSON object with no other fields than `known`. It is UTF-8 whatever it says, as JSON has to be between
    strangers (RFC 8259, 8.1); Python's other codecs are no code to run on a stranger's bytes."""
    if (request.charset or UTF_8).lower() not in (UTF_8, "utf8"):
        raise unsupported(f"send UTF-8: charset {request.charset[:40] if request.charset else ''} is not read")
    try:
        data = json.loads((await request.read()).decode(UTF_8))
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise bad_request("the body must be a JSON object")
    for name in data:
        if name not in known:
            raise bad_request(f"unknown field; there are {', '.join(sorted(known))}", name)
    return data


def files_of(data: dict[str, Any]) -> list[File]:
    """`files`: [{"name", "text"}]."""
    rows = data.get("files")
    if not isinstance(rows, list) or not rows:
        raise bad_request('must be a list of {"name": …, "text": …}', "files")
    if len(rows) > MAX_FILES:
        raise bad_request(f"there are {len(rows):,} files; {MAX_FILES:,} is the limit of one request", "files")
    files = []
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise bad_request('must be {"name": …, "text": …} with texts', f"files[{index}]")
        name = row.get("name", "")
        if not isinstance(name, str):
            raise bad_request("must be a text", f"files[{index}].name")
        files.append(File(name, row["text"]))
    return files


def flag_of(data: dict[str, Any], name: str) -> bool:
    value = data.get(name, False)
    if not isinstance(value, bool):
        raise bad_request("must be true or false", name)
    return value


def selection_of(request: web.Request) -> Selection:
    query = request.query
    return Selection(query.get("kind", ""), query.get("namespace", ""), query.get("name", ""))


def integer(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A number of the query; larger ones than `most` are `most`."""
    text = request.query.get(name, "")
    return min(whole(text, name, least), most) if text else default


def whole(text: str, name: str, least: int = 0) -> int:
    """A whole number, not so large that the store could not hold it."""
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) >= least):
        raise bad_request(f"must be a whole number from {least}, not {text[:30]!r}", name)
    return int(text)


def seconds(request: web.Request, name: str, default: float, most: float) -> float:
    text = request.query.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise bad_request(f"must be a number of seconds, not {text[:30]!r}", name)
    return min(value, most)
