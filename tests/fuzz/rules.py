"""What has to hold whatever was sent: the proxy lives, and both neighbours get nothing but well-formed HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.harness.client import fields
from tests.harness.upstream import Received

REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~\x80-\xff]+ HTTP/1\.1")
HEADER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?[\t\x20-\x7e\x80-\xff]*")
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [0-9]{3}( [\t\x20-\x7e\x80-\xff]*)?")


def request_faults(received: Received) -> list[str]:
    """What is wrong with a request that the proxy sent upstream."""
    faults = _head_faults(received.raw_head, REQUEST_LINE)
    names = [name.lower() for name, _ in received.headers]
    if names.count("host") != 1:
        faults.append(f"{names.count('host')} hosts")
    return faults


def response_faults(raw: bytes, heads: bool = False) -> list[str]:
    """What is wrong with the bytes that a client got. A body that is cut short is not: that is how a proxy reports a
    broken upstream. `raw` ends anywhere; `heads` says that there may be answers to HEAD among them."""
    faults: list[str] = []
    while raw and not faults:
        head, found, rest = raw.partition(b"\r\n\r\n")
        if not found:
            return [f"no end of the head: {raw[:80]!r}"]
        faults = _head_faults(head + found, STATUS_LINE)
        if not faults:
            raw = _after_body(head, rest, heads)
    return faults


def _after_body(head: bytes, rest: bytes, heads: bool) -> bytes:
    """What follows the body of a response; nothing when its end cannot be told."""
    line, *lines = head.decode("latin-1").split("\r\n")
    status = int(line.split(" ")[1])
    headers = {name.lower(): value for name, value in fields(lines)}
    if status == 101:
        return b""
    if status < 200 or status in (204, 304):
        return rest
    if heads and rest.startswith(b"HTTP/1."):
        return rest
    if "content-length" in headers:
        return rest[int(headers["content-length"]) :]
    if "chunked" in headers.get("transfer-encoding", ""):
        return _after_chunks(rest)
    return b""


def _after_chunks(rest: bytes) -> bytes:
    while rest:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            return b""
        if int(size, 16) == 0:
            return rest.removeprefix(b"\r\n")
        rest = rest[int(size, 16) + 2 :]
    return b""


def _head_faults(head: bytes, first: re.Pattern[bytes]) -> list[str]:
    line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    faults = [] if first.fullmatch(line) else [f"first line {line[:120]!r}"]
    faults += [f"header line {text[:120]!r}" for text in lines if not HEADER_LINE.fullmatch(text)]
    names = [text.split(b":", 1)[0].lower() for text in lines]
    if names.count(b"content-length") > 1:
        faults.append("more than one content-length")
    if b"content-length" in names and b"transfer-encoding" in names:
        faults.append("content-length and transfer-encoding")
    return faults


def log_faults(log: str) -> Sequence[str]:
    """Lines of the proxy's own log that tell of an error that nobody handled."""
    return [line for line in log.splitlines() if "Traceback" in line or "Exception in" in line or "Fatal error" in line]
