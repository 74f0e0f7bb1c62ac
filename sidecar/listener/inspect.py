"""What the first bytes of a connection say: TLS (with its server name), HTTP, or neither. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_METHODS = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
)
_PREFACE = b"PRI * HTTP/2.0"
_LONGEST = 8192  # a request line, or a ClientHello, is found within this many bytes or not at all


@dataclass(frozen=True, slots=True)
class Found:
    """`protocols` are http_inspector's (`http/1.0`, `http/1.1`, `h2c`) or the ALPN of a ClientHello."""

    transport: str = "raw_buffer"
    server_name: str = ""
    protocols: tuple[str, ...] = ()


def look(data: bytes, *, http: bool, tls: bool) -> Found | None:
    """What `data`, the beginning of a connection, is; None when more is needed to tell."""
    if tls and data[:1] == b"\x16":
        return _client_hello(data)
    if not http:
        return Found()
    return _http(data)


def _http(data: bytes) -> Found | None:
    if _PREFACE.startswith(data[: len(_PREFACE)]):
        return Found(protocols=("h2c",)) if len(data) >= len(_PREFACE) else None
    if not any(method.startswith(data[: len(method)]) for method in _METHODS):
        return Found()
    line, newline, _ = data.partition(b"\n")
    if not newline:
        return None if len(data) < _LONGEST else Found()
    version = line.rstrip(b"\r").rpartition(b" ")[2]
    if version == b"HTTP/1.1":
        return Found(protocols=("http/1.1",))
    return Found(protocols=("http/1.0",)) if version == b"HTTP/1.0" else Found()


def _client_hello(data: bytes) -> Found | None:
    """Server name and ALPN of a TLS ClientHello (RFC 8446 §4.1.2). What cannot be read leaves them empty."""
    if len(data) < 5:
        return None
    size = int.from_bytes(data[3:5], "big")
    if len(data) < 5 + size and len(data) < _LONGEST:
        return None
    name = ""
    protocols: tuple[str, ...] = ()
    try:
        for kind, value in _extensions(data[5 : 5 + size]):
            if kind == 0:
                length = int.from_bytes(value[3:5], "big")
                name = value[5 : 5 + length].decode("ascii")
            elif kind == 16:
                protocols = tuple(_alpn(value))
    except (IndexError, UnicodeDecodeError):
        pass  # not a ClientHello after all: it is TLS by its first byte, and matched as such
    return Found("tls", name, protocols)


def _extensions(hello: bytes) -> list[tuple[int, bytes]]:
    at = 4 + 2 + 32  # handshake header, version, random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    found = []
    while at + 4 <= min(end, len(hello)):
        kind, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        found.append((kind, hello[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def _alpn(value: bytes) -> list[str]:
    at, names = 2, []
    while at < len(value):
        size = value[at]
        names.append(value[at + 1 : at + 1 + size].decode("ascii"))
        at += 1 + size
    return names
