"""The second opinion on request heads: a small parser that judges as Envoy's does.

llhttp refuses some heads that Envoy accepts (bare LF, a folded line, a CR inside a value), and says why only in English. A
head that it refuses comes here; what is refused here as well gets Envoy's code detail. Not on the path of ordinary
requests.
"""

from __future__ import annotations

import re

from sidecar.codec.framing import is_length
from sidecar.codec.h1_parser import HeadError, RequestParser, ResponseParser, keeps_alive
from sidecar.codec.target import CODEC_ERROR, INVALID_URL, names_a_host, split_absolute
from sidecar.http.head import HTTP10, HTTP11, RequestHead
from sidecar.http.response_flags import Flag

PROTOCOL_ERROR = int(Flag.DPE)
STREAM_IDLE = int(Flag.SI)
NO_FLAG = 0
SIMPLE = "simple request"  # no refusal: a request of HTTP/0.9

_METHODS = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE MSEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE QUERY".split()
)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/\d\.\d")
_WHITE = re.compile(rb"[ \t]")
_LINE_END = re.compile(rb"\r?\n")
_HEAD_END = re.compile(rb"\n\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_FRAMING = (b"content-length", b"transfer-encoding")

_ANSWERS = {
    "http1.headers_too_large": (431, b"Request Header Fields Too Large"),
    "http1.too_many_headers": (431, b"Request Header Fields Too Large"),
    "http1.invalid_transfer_encoding": (501, b"Not Implemented"),
    "low_version": (426, b"Upgrade Required"),
}


def answer(detail: str) -> tuple[int, bytes]:
    """The status and body that Envoy answers for a refused head."""
    return _ANSWERS.get(detail, (400, b"Bad Request"))


def head_end(data: bytes) -> int:
    """Where a head with bare line feeds ends, -1 when it does not yet."""
    found = _HEAD_END.search(data)
    return found.end() if found else -1


def hopeless(data: bytes, any_version: bool = False) -> str | None:
    """The code detail for bytes that cannot become a head, however many follow; None while they still can.

    Envoy answers as soon as the request line is wrong, without waiting for the rest. Where `any_version` is taken, a line
    without one is `SIMPLE`: a whole request of HTTP/0.9.
    """
    line, newline, _ = data.partition(b"\n")
    if not newline:
        word = _WHITE.split(line, 1)[0]
        return None if any(method.startswith(word) for method in _METHODS) else CODEC_ERROR
    try:
        _, _, version = _request_line(line.rstrip(b"\r"), any_version)
    except HeadError as error:
        return str(error)
    return None if version else SIMPLE


def parse(head: bytes, into: RequestParser, any_version: bool = False) -> RequestHead:
    """Parses `head` leniently, with the parser's callbacks; `any_version` takes those that are not 1.1 for 1.0. Raises
    HeadError with Envoy's code detail."""
    lines = _LINE_END.split(head)
    method, target, version = _request_line(lines[0], any_version)
    into.reset()
    for name, value in _fields(lines[1:]) if version else ():
        into.on_header(name, value)
    http10 = version != b"HTTP/1.1"
    protocol, keeps = HTTP10 if http10 else HTTP11, keeps_alive(into.hop_headers, http10)
    request = RequestHead(method, target, into.headers, into.hop_headers, into.indexed_headers, protocol, keeps)
    request.spelling = into.spelling
    return request


_STATUS_LINE = re.compile(rb"HTTP/\d\.(\d)[ \t]+\+?0*([1-9]\d\d)(?:[ \t][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*)?")


def plausible_response(data: bytes) -> bool:
    """Whether bytes can still become a response's head, however many follow."""
    line, newline, _ = data.partition(b"\n")
    if newline:
        return _STATUS_LINE.fullmatch(line.rstrip(b"\r")) is not None
    return line.startswith(b"HTTP/"[: len(line)])


def parse_response(head: bytes, into: ResponseParser) -> None:
    """The same for a response's head."""
    lines = _LINE_END.split(head)
    found = _STATUS_LINE.fullmatch(lines[0])
    if found is None:
        raise HeadError(CODEC_ERROR)
    into.reset()
    for name, value in _fields(lines[1:]):
        into.on_header(name, value)
    into.status = int(found[2])
    into.keep_alive = keeps_alive(into.hop_headers, found[1] == b"0")


def _request_line(line: bytes, any_version: bool) -> tuple[bytes, bytes, bytes]:
    """Method, target and version, which HTTP/0.9 has none of."""
    if _CONTROL.search(line):
        raise HeadError("http1.invalid_characters" if line.count(b" ") == 2 else CODEC_ERROR)
    words = line.split()
    if len(words) not in (2, 3) or words[0] not in _METHODS or line[:1] == b" ":
        raise HeadError(CODEC_ERROR)
    method, target, version = (*words, b"") if len(words) == 2 else words
    if version and not _VERSION.fullmatch(version):
        raise HeadError(CODEC_ERROR)
    if version not in (b"HTTP/1.1", b"HTTP/1.0") and not any_version:
        raise HeadError("low_version" if version or target[:1] == b"/" or b"://" in target else CODEC_ERROR)
    if any(byte >= 0x80 for byte in target):
        raise HeadError(CODEC_ERROR)
    if method == b"CONNECT":
        if not names_a_host(target, with_port=True):
            raise HeadError(INVALID_URL)
    elif target[:1] == b"*":
        if target != b"*" or method != b"OPTIONS":
            raise HeadError(INVALID_URL)
    elif b"://" in target:
        if isinstance(detail := split_absolute(target), str):
            raise HeadError(detail)
    elif target[:1] != b"/":
        raise HeadError(CODEC_ERROR)
    return method, target, version


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields: list[tuple[bytes, bytes]] = []
    seen_length = False
    for line in _unfold(lines):
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise HeadError(CODEC_ERROR)
        value = value.strip(b" \t")
        if b"\r" in value:
            if name.lower() in _FRAMING:  # what the next reader would make of it, nobody knows
                raise HeadError(CODEC_ERROR)
            value = value.replace(b"\r", b"")
        if _CONTROL.search(value):
            raise HeadError("http1.invalid_characters")
        if name.lower() == b"content-length":
            if seen_length or not is_length(value):
                raise HeadError(CODEC_ERROR)
            seen_length = True
        fields.append((name, value))
    return fields


def _unfold(lines: list[bytes]) -> list[bytes]:
    """Whole fields, for their values to be judged whole: a folded line belongs to the one before it."""
    whole: list[bytes] = []
    for line in lines:
        if line[:1] not in (b" ", b"\t"):
            if line:
                whole.append(line)
        elif whole:
            whole[-1] += line
        else:
            raise HeadError(CODEC_ERROR)
    return whole
