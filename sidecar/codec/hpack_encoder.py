"""Header blocks on their way out (RFC 7541): fields → bytes.

What repeats enters the dynamic table and is a byte from then on. Identifiers, lengths and secrets never do, nor does a
name whose values keep changing: each would push out something that is of use. Strings are sent as they are: a loopback or
a rack pays for the Huffman code in CPU time and gains nothing.
"""

from __future__ import annotations

from typing import Final

from sidecar.codec.hpack_table import DEFAULT_TABLE_SIZE, FIELD_OVERHEAD, STATIC, STATIC_SIZE, encoded_integer
from sidecar.http.headers import Header, Headers

# Fields that are other ones in each message.
_ONE_OFF: Final = frozenset(
    b"content-length etag grpc-timeout if-modified-since if-none-match last-modified location range "
    b"content-range traceparent tracestate b3 x-b3-parentspanid x-b3-spanid x-b3-traceid x-cloud-trace-context "
    b"x-amzn-trace-id x-client-trace-id x-datadog-parent-id x-datadog-trace-id x-ot-span-context grpc-trace-bin "
    b"x-envoy-upstream-service-time x-request-id x-correlation-id idempotency-key".split()
)
# What no table may hold, here or further on (§7.1.3).
_SECRET: Final = frozenset(b"authorization cookie proxy-authorization set-cookie x-api-key".split())

# A name whose values are new this often, of so many blocks, is treated as one-off until it calms down.
_NEW_VALUES: Final = 8
_WINDOW: Final = 128
# No entry takes more of the table than this share of it.
_LARGEST_SHARE: Final = 4
_MOST_NAMES: Final = 512  # whose changes are counted

_INDEXED: Final = [encoded_integer(index, 0x7F, 0x80) for index in range(256)]
_LENGTHS: Final = [encoded_integer(length, 0x7F, 0) for length in range(512)]

_STATIC_FIELDS: Final[dict[Header, bytes]] = {field: _INDEXED[index] for index, field in enumerate(STATIC, 1)}
_STATIC_NAMES: Final[dict[bytes, int]] = {name: index for index, (name, _) in reversed(list(enumerate(STATIC, 1)))}


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < 512 else encoded_integer(size, 0x7F, 0)


def _literal_name(name: bytes, most: int, flags: int) -> bytes:
    """How a literal with this name begins, outside the dynamic table."""
    index = _STATIC_NAMES.get(name)
    if index is not None:
        return encoded_integer(index, most, flags)
    return bytes((flags,)) + _length(len(name)) + name


_ONE_OFF_NAMES: Final[dict[bytes, bytes]] = {name: _literal_name(name, 0x0F, 0) for name in _ONE_OFF} | {
    name: _literal_name(name, 0x0F, 0x10) for name in _SECRET
}


class _Changes:
    """How often a name got a new value, since a certain block."""

    __slots__ = ("count", "since")

    def __init__(self, since: int) -> None:
        self.count = 0
        self.since = since


class Encoder:
    """The encoding half of one connection. `max_table` is what we would use of the size that the peer allows."""

    __slots__ = ("_blocks", "_changes", "_entries", "_fields", "_inserted", "_max_size", "_size", "_updates", "_wanted")

    def __init__(self, max_table: int = DEFAULT_TABLE_SIZE) -> None:
        self._wanted = max_table
        self._max_size = DEFAULT_TABLE_SIZE
        self._size = 0
        self._entries: list[Header] = []  # the oldest first
        self._fields: dict[Header, int] = {}  # field → how many were inserted before it
        self._inserted = 0
        self._blocks = 0
        self._changes: dict[bytes, _Changes] = {}
        self._updates: list[int] = []  # table sizes that the next block has to tell
        if max_table < DEFAULT_TABLE_SIZE:
            self.set_limit(DEFAULT_TABLE_SIZE)

    def set_limit(self, limit: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE: the next block says what we make of it, the smallest size first that was
        in force in between (§4.2)."""
        size = min(limit, self._wanted)
        if size == self._max_size and not self._updates:
            return
        if self._updates:
            smallest = min(*self._updates, size)
            self._updates = [size] if smallest == size else [smallest, size]
        else:
            self._updates = [size]
        self._max_size = size
        self._evict(0)

    def encode(self, headers: Headers) -> bytes:
        """A block of these fields, pseudo-header fields among them."""
        self._blocks += 1
        out: list[bytes] = []
        fields = self._fields
        for field in headers:
            number = fields.get(field, -1)
            if number >= 0:
                index = STATIC_SIZE + self._inserted - number
                out.append(_INDEXED[index] if index < 256 else encoded_integer(index, 0x7F, 0x80))
                continue
            known = _STATIC_FIELDS.get(field)
            if known is not None:
                out.append(known)
                continue
            name, value = field
            literal = _ONE_OFF_NAMES.get(name)
            if literal is None:
                literal = self._insert(field, name, value)
            size = len(value)
            out.append(literal)
            out.append(_LENGTHS[size] if size < 512 else encoded_integer(size, 0x7F, 0))
            out.append(value)
        if self._updates:
            out.insert(0, self._size_updates())
        return b"".join(out)

    def _size_updates(self) -> bytes:
        made = b"".join([encoded_integer(size, 0x1F, 0x20) for size in self._updates])
        self._updates = []
        return made

    def _insert(self, field: Header, name: bytes, value: bytes) -> bytes:
        """Begins a literal, and enters it into the table unless it would be of no use there."""
        size = len(name) + len(value) + FIELD_OVERHEAD
        if size * _LARGEST_SHARE > self._max_size or self._keeps_changing(name):
            return _literal_name(name, 0x0F, 0)
        self._evict(size)
        self._entries.append(field)
        self._fields[field] = self._inserted
        self._inserted += 1
        self._size += size
        return _literal_name(name, 0x3F, 0x40)

    def _keeps_changing(self, name: bytes) -> bool:
        changes = self._changes.get(name)
        if changes is None:
            if len(self._changes) >= _MOST_NAMES:
                self._changes.clear()
            changes = self._changes[name] = _Changes(self._blocks)
        if changes.count >= _NEW_VALUES:
            if self._blocks - changes.since < _WINDOW:
                return True
            changes.count = 0
            changes.since = self._blocks
        changes.count += 1
        return False

    def _evict(self, room: int) -> None:
        most = self._max_size - room
        gone = 0
        while self._size > most:
            name, value = entry = self._entries[gone]
            del self._fields[entry]
            self._size -= len(name) + len(value) + FIELD_OVERHEAD
            gone += 1
        if gone:
            del self._entries[:gone]
