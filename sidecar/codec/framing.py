"""How long a message's body is (RFC 9112 §6), and the chunked transfer coding.

A body length is an int: bytes still to come, or one of CHUNKED and UNTIL_CLOSE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sidecar.http.headers import Headers
from sidecar.http.streams import UNKNOWN_LENGTH, Trailers

CHUNKED: Final = UNKNOWN_LENGTH
UNTIL_CLOSE: Final = -2

# A chunk-size line with its extensions, and a trailer section: nobody honest sends more.
MAX_CHUNK_LINE: Final = 4096
MAX_TRAILERS: Final = 60 * 1024

_FIELD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:|[ \t]")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f]")
_MAX_LENGTH: Final = 1 << 64
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class FramingError(Exception):
    """A body that cannot be delimited; the message is Envoy's code detail (`http1.…`)."""


def request_length(hop_headers: Mapping[bytes, bytes]) -> int:
    """The body length of a request with these framing headers. Raises FramingError as Envoy's codec would."""
    coding = hop_headers.get(b"transfer-encoding")
    length = hop_headers.get(b"content-length")
    if coding is None:
        return 0 if length is None else _content_length(length)
    if length is not None:
        raise FramingError("http1.content_length_and_chunked_not_allowed")
    if coding.lower() != b"chunked":
        raise FramingError("http1.invalid_transfer_encoding")
    return CHUNKED


def response_length(status: int, method: bytes, hop_headers: Mapping[bytes, bytes]) -> int:
    """The body length of a final response to `method`. Raises FramingError."""
    if status == 204:
        check_bodiless(hop_headers)
        return 0
    coding = hop_headers.get(b"transfer-encoding")
    length = hop_headers.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise FramingError("http1.content_length_and_chunked_not_allowed")
        if coding.lower() != b"chunked":
            raise FramingError("http1.invalid_transfer_encoding")
    if method == b"HEAD" or status == 304:
        return 0
    if coding is not None:
        return CHUNKED
    return UNTIL_CLOSE if length is None else _content_length(length)


def check_bodiless(hop_headers: Mapping[bytes, bytes]) -> None:
    """What 1xx and 204 must not say. Raises FramingError."""
    if b"transfer-encoding" in hop_headers or hop_headers.get(b"content-length", b"0") != b"0":
        raise FramingError("http1.body_disallowed")


def is_length(value: bytes) -> bool:
    """Whether it is a Content-Length: digits, with zeros before them if need be, that 64 bits can hold."""
    digits = value.lstrip(b"0")
    return value.isdigit() and len(digits) <= 20 and int(digits or b"0") < _MAX_LENGTH


def _content_length(value: bytes) -> int:
    if len(value) <= 18 and value.isdigit():
        return int(value)
    if not is_length(value):
        raise FramingError("http1.invalid_content_length")
    return int(value.lstrip(b"0") or b"0")


class ChunkedDecoder:
    """Takes the chunked coding off, piece by piece.

    `feed(data)` returns the payload found in `data`; afterwards `done` says that the body is over, `rest` then holds the
    bytes behind it and `trailers` the fields of its trailer section.
    """

    __slots__ = ("_expect", "_left", "_line", "_trailers_size", "done", "payload", "rest", "trailers")

    def __init__(self) -> None:
        self._left = 0  # payload bytes of the current chunk still to come
        self._line = b""  # the beginning of a line whose end has not come yet
        self._expect = _SIZE
        self.done = False
        self.rest = b""
        self.payload = b""  # what preceded the error of a feed that raised
        self.trailers: Headers = []
        self._trailers_size = 0

    def feed(self, data: bytes) -> bytes:
        if self._expect is _DATA and len(data) < self._left:  # the middle of a large chunk: nothing to look for
            self._left -= len(data)
            return data
        pieces: list[bytes] = []
        try:
            self._take(data, pieces)
        except FramingError:
            self.payload = b"".join(pieces)
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take(self, data: bytes, pieces: list[bytes]) -> None:
        if self._line:
            data = self._line + data
            self._line = b""
        at, size = 0, len(data)
        while at < size:
            if self._expect is _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._expect = _DATA_END
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                break
            line = data[at:end]
            at = end + 1
            if self._on_line(line):
                self.done = True
                self.rest = data[at:]
                break

    def _keep(self, line: bytes) -> None:
        limit = MAX_TRAILERS if self._expect is _TRAILER else MAX_CHUNK_LINE
        if len(line) > limit:
            raise FramingError("http1.codec_error")
        self._line = line

    def _on_line(self, line: bytes) -> bool:
        """One line without its LF; True when it ends the body."""
        if not line.endswith(b"\r"):
            raise FramingError("http1.codec_error")
        line = line[:-1]
        if self._expect is _SIZE:
            self._left = _chunk_size(line)
            self._expect = _DATA if self._left else _TRAILER
            return False
        if self._expect is _DATA_END:
            if line:
                raise FramingError("http1.codec_error")
            self._expect = _SIZE
            return False
        if not line:
            return True
        if not _FIELD.match(line):
            raise FramingError("http1.codec_error")
        if _CONTROL.search(line):
            raise FramingError("http1.invalid_characters")
        self._on_trailer(line.replace(b"\r", b""))
        self._trailers_size += len(line) + 2
        if self._trailers_size > MAX_TRAILERS:
            raise FramingError("http1.codec_error")
        return False

    def _on_trailer(self, line: bytes) -> None:
        if line[:1] in b" \t" and self.trailers:  # a folded line belongs to the one before it
            name, value = self.trailers[-1]
            self.trailers[-1] = name, value + b" " + line.strip(b" \t")
            return
        name, _, value = line.partition(b":")
        self.trailers.append((name.strip(b" \t").lower(), value.strip(b" \t")))


_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILER: Final = 3


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not digits or len(digits.lstrip(b"0")) > 16 or not _HEX.issuperset(digits) or b"\r" in line:
        raise FramingError("http1.codec_error")
    return int(digits, 16)


LAST_CHUNK: Final = b"0\r\n\r\n"


def last_chunk(trailers: Trailers) -> bytes:
    """The end of a chunked body, with its trailer section."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % field for field in trailers])


def chunk(data: bytes) -> bytes:
    """`data` (not empty: an empty chunk would end the body) in the chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)
