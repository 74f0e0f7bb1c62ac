"""Header blocks on their way in (RFC 7541): bytes → fields.

A field is judged once, when it enters a table: what a request's way needs to know of it is a number that the table keeps
beside it. A block that consists of indices alone says the same until the table changes, and is looked up as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.codec import hpack_huffman
from sidecar.codec.hpack_huffman import HuffmanError
from sidecar.codec.hpack_table import (
    DEFAULT_TABLE_SIZE,
    FIELD_OVERHEAD,
    STATIC,
    STATIC_SIZE,
    HpackError,
    integer,
)
from sidecar.http.headers import Header

# What a field is to those that use it: a number of their choice.
Judge = Callable[[bytes, bytes], int]

# Blocks that are remembered as a whole, and how long they may be: a client has few kinds of requests that are all indices.
_REMEMBERED: Final = 32
_LONGEST_REMEMBERED: Final = 64
# The same for fields that are spelled out to enter the table: some encoders never name its entries, and spell them out
# every time.
_MOST_LITERALS: Final = 32


class Field:
    """A field as a table keeps it: `pair` travels on as it is, `kind` is what the judge said of it."""

    __slots__ = ("kind", "pair", "size")

    def __init__(self, name: bytes, value: bytes, kind: int) -> None:
        self.pair: Header = (name, value)
        self.kind = kind
        self.size = len(name) + len(value) + FIELD_OVERHEAD


def static_fields(judge: Judge) -> list[Field]:
    """The static table as `judge` sees it, with an entry 0 that nobody may name."""
    return [Field(b"", b"", 0), *(Field(name, value, judge(name, value)) for name, value in STATIC)]


class Decoder:
    """The decoding half of one connection. `static` and `judge` are its user's view of fields; of a block whose fields are
    larger in total than `max_list` only the table is kept right, and `oversized` is set."""

    __slots__ = (
        "_entries",
        "_judge",
        "_limit",
        "_literals",
        "_max_list",
        "_max_size",
        "_must_shrink",
        "_remembered",
        "_size",
        "_static",
        "changes",
        "oversized",
    )

    def __init__(
        self, static: list[Field], judge: Judge, *, max_list: int, max_table: int = DEFAULT_TABLE_SIZE
    ) -> None:
        self._static = static
        self._judge = judge
        self._entries: list[Field] = []  # the dynamic table, its newest entry last
        self._size = 0
        self._max_size = DEFAULT_TABLE_SIZE  # as the encoder has said last
        self._limit = max(DEFAULT_TABLE_SIZE, max_table)  # what it may say: ours counts once it was acknowledged
        self._must_shrink = False
        self._max_list = max_list
        self._remembered: dict[bytes, list[Field]] = {}
        self._literals: dict[bytes, Field] = {}
        self.changes = 0  # of the dynamic table
        self.oversized = False

    def set_limit(self, limit: int) -> None:
        """The peer has acknowledged our SETTINGS_HEADER_TABLE_SIZE; if it has to shrink its table its next block says so."""
        self._limit = limit
        self._must_shrink = limit < self._max_size

    def decode(self, block: bytes) -> list[Field]:
        """The block's fields, not to be changed. Raises HpackError."""
        known = self._remembered.get(block)
        if known is not None:
            self.oversized = False
            return known
        before = self.changes
        fields: list[Field] = []
        plain = self._decode(block, fields)
        if plain and before == self.changes and not self.oversized and len(block) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[block] = fields
        return fields

    def _decode(self, block: bytes, fields: list[Field]) -> bool:
        """Whether the block consists of indices alone."""
        static = self._static
        end, total, plain = len(block), 0, True
        at = self._size_updates(block)
        while at < end:
            byte = block[at]
            at += 1
            if byte >= 0x80:
                index = byte & 0x7F
                if index == 0x7F:
                    index, at = integer(block, at, 0x7F)
                field = static[index] if 0 < index <= STATIC_SIZE else self._entry(index)
            else:
                plain = False
                if byte >= 0x40:
                    index, most = byte & 0x3F, 0x3F
                elif byte >= 0x20:
                    raise HpackError("a table size update within a block")
                else:
                    index, most = byte & 0x0F, 0x0F
                if index == most:
                    index, at = integer(block, at, most)
                if byte >= 0x40 and 0 < index <= STATIC_SIZE:
                    field, at = self._known_name(block, index, at)
                    self._insert(field)
                else:
                    if not index:
                        name, at = self._string(block, at)
                    else:
                        name = (static[index] if index <= STATIC_SIZE else self._entry(index)).pair[0]
                    value, at = self._string(block, at)
                    field = Field(name, value, self._judge(name, value))
                    if byte >= 0x40:
                        self._insert(field)
            total += field.size
            if total <= self._max_list:
                fields.append(field)
        self.oversized = total > self._max_list
        return plain

    def _known_name(self, block: bytes, index: int, at: int) -> tuple[Field, int]:
        """A field with a name of the static table whose value stands at `at`: judged once, if it keeps coming."""
        end = at + 1 + (block[at] & 0x7F) if at < len(block) else at
        short = at < end <= min(len(block), at + _LONGEST_REMEMBERED)
        key = block[at - 1 : end]
        if short:
            field = self._literals.get(key)
            if field is not None:
                return field, end
        name = self._static[index].pair[0]
        value, end = self._string(block, at)
        field = Field(name, value, self._judge(name, value))
        if short:
            if len(self._literals) >= _MOST_LITERALS:
                self._literals.clear()
            self._literals[key] = field
        return field, end

    def _entry(self, index: int) -> Field:
        position = len(self._entries) - (index - STATIC_SIZE)
        if index <= STATIC_SIZE or position < 0:
            raise HpackError("an index that is not in the table")
        return self._entries[position]

    def _string(self, block: bytes, at: int) -> tuple[bytes, int]:
        if at >= len(block):
            raise HpackError("a block that ends within a field")
        byte = block[at]
        at += 1
        length = byte & 0x7F
        if length == 0x7F:
            length, at = integer(block, at, 0x7F)
        end = at + length
        if end > len(block):
            raise HpackError("a block that ends within a string")
        if byte < 0x80:
            return block[at:end], end
        try:
            return hpack_huffman.decode(block[at:end]), end
        except HuffmanError as error:
            raise HpackError(str(error)) from error

    # ── the dynamic table ─────────────────────────────────────────────────────────────────────────────────────────────

    def _size_updates(self, block: bytes) -> int:
        """Takes in what stands at the block's beginning (§4.2); where the fields begin."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size = block[at] & 0x1F
            at += 1
            if size == 0x1F:
                size, at = integer(block, at, 0x1F)
            if size > self._limit:
                raise HpackError("a table size above the limit")
            self._must_shrink = False
            self._max_size = size
            self._evict(0)
        if self._must_shrink:
            raise HpackError("a table that did not shrink as it had to")
        return at

    def _insert(self, field: Field) -> None:
        self._evict(field.size)
        if field.size <= self._max_size:  # a larger one empties the table and is not in it (§4.4)
            self._entries.append(field)
            self._size += field.size

    def _evict(self, room: int) -> None:
        """Makes room for an entry: indices mean something else from here on."""
        self.changes += 1
        if self._remembered:
            self._remembered.clear()
        most = self._max_size - room
        if self._size <= most:
            return
        gone = 0
        for entry in self._entries:
            self._size -= entry.size
            gone += 1
            if self._size <= most:
                break
        del self._entries[:gone]
