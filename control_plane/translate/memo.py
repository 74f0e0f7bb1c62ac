"""Values that are made once and outlive a World: each remembers what it was made from, and is made anew only when some of
that has changed. (The same idea as in Rust's salsa or in a spreadsheet.)

Sources are inputs, which somebody tells of (`changed`), and other values. What is read while a value is being made is its
source; nobody declares anything, so nothing can be forgotten, as long as all that comes from a World is read through
`read`, and what else a value depends on is in its key.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

T = TypeVar("T")

_NOTHING: Final = object()
_PART: Final = "part"
FORGOTTEN_AFTER: Final = 3  # rounds in which nobody asked for a value from which nothing else is made


class Table(dict[str, Any]):
    """A mapping that many share and nobody changes. `parent` is the one that it came from, if that is still in use, and
    `delta` the names that are not the same in both."""

    __slots__ = ("__weakref__", "_parent", "delta")

    def __init__(self, content: Mapping[str, Any], parent: Table | None = None, delta: frozenset[str] = frozenset()):
        super().__init__(content)
        self._parent = None if parent is None else weakref.ref(parent)
        self.delta = delta

    @property
    def parent(self) -> Table | None:
        return None if self._parent is None else self._parent()


_Cells = (
    tuple["_Cell", ...] | set["_Cell"]
)  # nothing or one in a tuple, which takes a quarter of the room; more in a set
_NO_CELLS: Final[tuple[_Cell, ...]] = ()
_NO_SOURCES: Final[dict[_Cell, Any]] = {}  # of inputs, which are half of all: never changed


class _Cell:
    """A value, or an input. `sources` are the cells that it was made from, with the values that they had; `dirty` are those
    of them that may have another one by now: as long as there are any, so may this."""

    __slots__ = ("dirty", "key", "round", "sources", "users", "value")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.value: Any = _NOTHING
        self.sources = _NO_SOURCES
        self.users: _Cells = _NO_CELLS
        self.dirty: _Cells = _NO_CELLS
        self.round = 0

    def made_of(self, source: _Cell) -> None:
        if self.sources is _NO_SOURCES:
            self.sources = {}
        self.sources[source] = source.value
        source.users = _with(source.users, self)


@dataclass(slots=True)
class _Gathered:
    """`parts` by name, the `cells` of them, and what they come to."""

    names: Sequence[str] = ()
    parts: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    cells: set[_Cell] = field(default_factory=set)
    tables: tuple[Table, ...] = ()


class Memo:
    """All values of one line of Worlds."""

    def __init__(self) -> None:
        self._cells: dict[Hashable, _Cell] = {}
        self._making: list[_Cell] = []
        self._facts: dict[Hashable, Callable[[], Any]] = {}
        self._loose: dict[_Cell, None] = {}  # perhaps without users
        self._round = 0
        self.made = 0  # values so far, for those who want to know what something costs

    def __len__(self) -> int:
        return len(self._cells)

    # ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, key: Hashable, value: T) -> T:
        """`value`, which is what the input `key` is now; whoever is being made depends on it."""
        if self._making:
            cell = self._cell(key)
            cell.value = value
            self._making[-1].made_of(cell)
        return value

    def changed(self, key: Hashable, value: Any) -> None:
        """An input is `value` from now on."""
        cell = self._cells.get(key)
        if cell is not None and cell.value is not value:
            cell.value = value
            self._suspect_users(cell)

    def next_round(self) -> None:
        """What nobody has asked for in the last rounds, and nothing is made from, is forgotten: it was for somebody who is
        gone."""
        self._round += 1
        loose, self._loose = self._loose, {}  # another dict: one that was large once stays so
        for cell in loose:
            if cell.users:
                continue
            if self._round - cell.round <= FORGOTTEN_AFTER:
                self._loose[cell] = None
                continue
            self._detach(cell)
            if self._cells.get(cell.key) is cell:
                del self._cells[cell.key]
                self._facts.pop(cell.key, None)

    def clear(self) -> None:
        self._cells.clear()
        self._loose.clear()

    # ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns; made again when a source has changed. What `make` knows but by reading is in `key`."""
        cell = self._cell(key)
        if not self._stands(cell):
            self._make(cell, make)
        value: T = self._used(cell)
        return value

    def fact(self, key: Hashable, make: Callable[[], T]) -> T:
        """The same for small values that can be compared, made by a function that knows nothing but by reading. Who used
        it is made again only when it is not equal to what it was."""
        self._facts[key] = make
        return self.once(key, make)

    def gather(
        self,
        key: Hashable,
        width: int,
        names: Callable[[], Sequence[str]],
        part: Callable[[str], Sequence[Mapping[str, Any]]],
    ) -> tuple[Table, ...]:
        """`width` Tables: each holds the mappings that stand at its place in what `part` returns for every one of `names`;
        no two have an entry in common. Only those parts are made again of which a source has changed."""
        cell = self._cell(key)
        if not self._stands(cell):
            if cell.value is _NOTHING:
                before = _Gathered(tables=tuple(Table({}) for _ in range(width)))
            else:
                before = cell.value
            self._making.append(cell)
            try:
                cell.value = self._gathered(cell, before, names(), part)
            except BaseException:
                cell.value = _NOTHING
                self._detach(cell)
                raise
            finally:
                self._making.pop()
            cell.dirty = _NO_CELLS
        gathered: _Gathered = self._used(cell)
        return gathered.tables

    def part(self, key: Hashable, name: str, make: Callable[[str], T]) -> T:
        """What `make` returns for a name: it is the part of that which is gathered under `key`."""
        return self.once((_PART, key, name), partial(make, name))

    def _gathered(
        self, cell: _Cell, before: _Gathered, names: Sequence[str], part: Callable[[str], Sequence[Mapping[str, Any]]]
    ) -> _Gathered:
        parts = before.parts
        if names is before.names:
            again = [source.key[2] for source in cell.dirty if source in before.cells]  # type: ignore[index]
            gone: Collection[str] = ()
        else:
            dirty = {source.key[2] for source in cell.dirty if source in before.cells}  # type: ignore[index]
            again = [name for name in names if name not in parts or name in dirty]
            gone = parts.keys() - set(names)
        old, new = [], []
        for name in gone:
            old.append(parts.pop(name))
            source = self._cells[(_PART, cell.key, name)]
            before.cells.discard(source)
            cell.sources.pop(source)
            source.users = _without(source.users, cell)
            self._loose[source] = None
        for name in again:
            made = self.part(cell.key, name, part)
            before.cells.add(self._cells[(_PART, cell.key, name)])
            if (known := parts.get(name)) is not None:
                old.append(known)
            new.append(made)
            parts[name] = made
        return _Gathered(names, parts, before.cells, _merged(before.tables, old, new))

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _cell(self, key: Hashable) -> _Cell:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell(key)
            cell.round = self._round
            self._loose[cell] = None
        return cell

    def _detach(self, cell: _Cell) -> None:
        for source in cell.sources:
            source.users = _without(source.users, cell)
            if not source.users:
                self._loose[source] = None
        cell.sources = _NO_SOURCES
        cell.dirty = _NO_CELLS

    def _used(self, cell: _Cell) -> Any:
        cell.round = self._round
        if self._making:
            self._making[-1].made_of(cell)
        return cell.value

    def _stands(self, cell: _Cell) -> bool:
        """Whether a value was made, and from what its sources still are."""
        if cell.value is _NOTHING:
            return False
        for source in list(cell.dirty):
            if source.dirty and not self._stands(source):
                make = self._facts.get(source.key)
                if make is None:
                    return False
                self._make(source, make)
            if source.value is not cell.sources[source]:
                return False
            cell.dirty = _without(cell.dirty, source)
        return True

    def _make(self, cell: _Cell, make: Callable[[], Any]) -> None:
        self._detach(cell)
        self._making.append(cell)
        try:
            value = make()
        except BaseException:
            cell.value = _NOTHING
            raise
        finally:
            self._making.pop()
        self.made += 1
        cell.round = self._round
        if not self._same(cell, value):
            cell.value = value

    def _same(self, cell: _Cell, value: Any) -> bool:
        """Whether who used a fact need not care that it was made again. (Tables know by themselves what differs.)"""
        if cell.value is _NOTHING or cell.key not in self._facts or isinstance(value, Table):
            return cell.value is value
        return bool(cell.value == value)

    def _suspect_users(self, cell: _Cell) -> None:
        """Marks everything that was made from a cell, directly or not."""
        reached = [cell]
        while reached:
            source = reached.pop()
            for user in source.users:
                if not user.dirty:
                    reached.append(user)
                user.dirty = _with(user.dirty, source)


def _with(cells: _Cells, cell: _Cell) -> _Cells:
    if isinstance(cells, tuple):
        return cells if cell in cells else {*cells, cell} if cells else (cell,)
    cells.add(cell)
    return cells


def _without(cells: _Cells, cell: _Cell) -> _Cells:
    if isinstance(cells, tuple):
        return _NO_CELLS if cell in cells else cells
    cells.discard(cell)
    return cells or _NO_CELLS


def _merged(
    before: tuple[Table, ...], old: Sequence[Sequence[Mapping[str, Any]]], new: Sequence[Sequence[Mapping[str, Any]]]
) -> tuple[Table, ...]:
    """The Tables without the old parts and with the new ones; one in which nothing is different stays the same object."""
    return tuple(
        _one(table, [each[place] for each in old], [each[place] for each in new]) for place, table in enumerate(before)
    )


def _one(before: Table, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Table:
    come: dict[str, Any] = {}
    for each in new:
        come.update(each)
    gone = {name for each in old for name in each if name not in come}
    delta = {name for name, value in come.items() if before.get(name) is not value} | gone
    if not delta:
        return before
    table = Table(before, before, frozenset(delta))
    table.update(come)
    for name in gone:
        del table[name]
    return table
