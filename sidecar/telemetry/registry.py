"""The registry of Envoy's own statistics: single cells by name, and groups of cells (`sidecar.telemetry.stats`).

Names and labels are put together only when somebody reads; what is written to per request are bare cells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from inspect import get_annotations
from operator import attrgetter
from typing import ClassVar, Final, NamedTuple, TypeVar

from sidecar.telemetry.cells import Counter, Gauge, Histogram

Cell = Counter | Gauge | Histogram
Kind = TypeVar("Kind", Counter, Gauge, Histogram)
Labels = tuple[tuple[str, str], ...]


class Stat(NamedTuple):
    """A cell as a reader sees it: Envoy's flat name, and its Prometheus name (no `envoy_`) with the labels split off."""

    name: str
    cell: Cell
    family: str
    labels: Labels


def labels_text(labels: Iterable[tuple[str, str]]) -> str:
    """Labels as the exposition formats write them, without the braces."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Row(NamedTuple):
    """A cell of a family: its labels, also rendered."""

    cell: Cell
    labels: Labels
    text: str

    def pairs(self) -> Labels:
        return self.labels


class Family(NamedTuple):
    """Cells of one kind and one Prometheus name (no `envoy_`)."""

    name: str
    kind: type[Cell]
    rows: list[Row]


# Tag extraction for names that belong to no group; the first expression is Istio's, which keeps whole host names.
_TAGS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("envoy_cluster_name", re.compile(r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)")),
    ("envoy_http_conn_manager_prefix", re.compile(r"^http\.((.+?)\.)(?=[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?$)")),
    ("envoy_tcp_prefix", re.compile(r"^tcp\.((.+?)\.)(?=[a-z][a-z0-9_]*$)")),
    ("envoy_local_http_ratelimit_prefix", re.compile(r"^((.+?)\.)(?=http_local_rate_limit\.)")),
    ("envoy_listener_address", re.compile(r"^listener\.(((?:[_.0-9]+|[_\[\]a-fA-F0-9.]+))\.)")),
)
_CODE: Final = re.compile(r"(?<=_rq)_(\d)(\d\d|xx)$")
_NOT_PROMETHEUS: Final = re.compile(r"[^a-zA-Z0-9_]")


def _prometheus(name: str) -> tuple[str, Labels]:
    """Splits the response code off a name and makes the rest a Prometheus name: `upstream_rq_2xx` → `upstream_rq_xx`
    with envoy_response_code_class."""
    labels: Labels = ()
    if match := _CODE.search(name):
        name = name[: match.start()]
        if match[2] == "xx":
            name, labels = name + "_xx", (("envoy_response_code_class", match[1]),)
        else:
            labels = (("envoy_response_code", match[1] + match[2]),)
    return _NOT_PROMETHEUS.sub("_", name), labels


def describe(name: str) -> tuple[str, Labels]:
    """The Prometheus name (without `envoy_`) and labels of a flat stat name, by Envoy's well-known tags."""
    found: Labels = ()
    for tag, pattern in _TAGS:
        if match := pattern.match(name):
            found = ((tag, match[2]),)
            name = name[: match.start(1)] + name[match.end(1) :]
            break
    family, labels = _prometheus(name)
    return family, labels + found


class Stats:
    """All statistics of a process."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._computed: dict[str, Callable[[], float]] = {}
        self._groups: dict[tuple[type[Group], str], tuple[Group, int]] = {}

    def counter(self, name: str) -> Counter:
        return self._cell(name, Counter)

    def gauge(self, name: str) -> Gauge:
        return self._cell(name, Gauge)

    def histogram(self, name: str) -> Histogram:
        return self._cell(name, Histogram)

    def computed(self, name: str, read: Callable[[], float]) -> None:
        """A gauge that is worked out when somebody looks."""
        self._computed[name] = read

    def _cell(self, name: str, kind: type[Kind]) -> Kind:
        cell = self._cells.setdefault(name, kind())
        if not isinstance(cell, kind):
            raise TypeError(f"{name} is a {type(cell).__name__}")
        return cell

    def join(self, group: Group) -> Group | None:
        """Registers a group; returns the one of the same kind and name that was there already."""
        key = (type(group), group.name)
        first, uses = self._groups.get(key, (group, 0))
        self._groups[key] = first, uses + 1
        return first if uses else None

    def leave(self, group: Group) -> None:
        key = (type(group), group.name)
        first, uses = self._groups[key]
        if uses > 1:
            self._groups[key] = first, uses - 1
        else:
            del self._groups[key]

    def group(self, kind: type[Group], name: str) -> Group | None:
        """The group of this kind and name, as long as somebody uses it."""
        found = self._groups.get((kind, name))
        return found[0] if found is not None else None

    def groups(self) -> list[Group]:
        return [group for group, _ in self._groups.values()]

    def parts(self) -> Iterator[Iterator[Stat]]:
        """Every stat there is, in parts small enough to look at without holding up the loop."""
        yield self._loose()
        for group in self.groups():
            yield group.stats()

    def _loose(self) -> Iterator[Stat]:
        for name, read in list(self._computed.items()):
            gauge = Gauge()
            gauge.value = int(read())
            yield Stat(name, gauge, *describe(name))
        for name, cell in list(self._cells.items()):
            yield Stat(name, cell, *describe(name))

    def families(self, wanted: Callable[[str, Cell], bool] | None = None) -> Iterator[Family]:
        """The same by Prometheus name, one at a time; `wanted` chooses by flat name and cell."""
        loose: dict[tuple[str, type[Cell]], Family] = {}
        for stat in self._loose():
            if wanted is None or wanted(stat.name, stat.cell):
                key = stat.family, type(stat.cell)
                family = loose.setdefault(key, Family(*key, []))
                family.rows.append(Row(stat.cell, stat.labels, labels_text(stat.labels)))
        yield from loose.values()
        kinds: dict[type[Group], list[Group]] = {}
        for group in self.groups():
            kinds.setdefault(type(group), []).append(group)
        for kind, groups in kinds.items():
            yield from _group_families(kind, groups, wanted)

    def reset_counters(self) -> None:
        """Counters and histograms to zero; gauges tell what is, and stay."""
        for part in self.parts():
            for stat in part:
                if isinstance(stat.cell, Counter):
                    stat.cell.value = 0
                elif isinstance(stat.cell, Histogram):
                    stat.cell.reset()

    def latch(self) -> None:
        """Ends the interval of every histogram; called every few seconds."""
        for cell in list(self._cells.values()):
            if isinstance(cell, Histogram):
                cell.latch()
        for group in self.groups():
            for slot in layout(type(group)):
                if slot.kind is Histogram:
                    getattr(group, slot.attribute).latch()


class Slot(NamedTuple):
    """A cell of a group: its attribute, its kind and what its name is below the group's prefix."""

    attribute: str
    kind: type[Cell]
    path: str
    family: str
    labels: Labels
    text: str  # the labels, rendered, with a comma behind them


_KINDS: dict[str, type[Cell]] = {"Counter": Counter, "Gauge": Gauge, "Histogram": Histogram}


def _slot(group: type[Group], attribute: str, kind: type[Cell], path: str) -> Slot:
    family, labels = _prometheus(f"{group.prefix}.{path}")
    return Slot(attribute, kind, path, family, labels, labels_text(labels) + "," if labels else "")


_layouts: dict[type[Group], tuple[Slot, ...]] = {}


# Class → annotations, of groups that were compiled: at run time those have none (`sidecar.process.native_build`).
COMPILED_NOTES: dict[str, dict[str, str]] = {}


def _notes(group: type[Group]) -> dict[str, str]:
    """With those of the groups that it is a kind of."""
    notes: dict[str, str] = {}
    for kind in reversed(group.__mro__):
        notes |= COMPILED_NOTES.get(kind.__name__) or get_annotations(kind)
    return notes


def layout(group: type[Group]) -> tuple[Slot, ...]:
    """The cells of a kind of group, from its annotations."""
    slots = _layouts.get(group)
    if slots is None:
        kinds = [(name, _KINDS[note]) for name, note in _notes(group).items() if note in _KINDS]
        paths = [(name, kind, group.path(name)) for name, kind in kinds]
        slots = tuple(_slot(group, name, kind, path) for name, kind, path in paths)
        _layouts[group] = slots
    return slots


def _group_families(
    kind: type[Group], groups: list[Group], wanted: Callable[[str, Cell], bool] | None
) -> Iterator[Family]:
    """Families of the groups of one kind: those of their slots, and those that appeared on the way."""
    for group in groups:
        group.settle()
    slots: dict[tuple[str, type[Cell]], list[Slot]] = {}
    for slot in layout(kind):
        slots.setdefault((slot.family, slot.kind), []).append(slot)
    # Labels are the group's but for few slots; the lists are made once, and put together at the speed of `zip`.
    labels = [group.labels for group in groups]
    texts = [group.text for group in groups]
    for key, members in slots.items():
        rows: list[Row] = []
        for slot in members:
            cells = map(attrgetter(slot.attribute), groups)
            if slot.labels:
                own = [slot.labels + each for each in labels], [slot.text + each for each in texts]
            else:
                own = labels, texts
            made = map(Row._make, zip(cells, *own, strict=True))
            if wanted is None:
                rows.extend(made)
            else:
                flat = [group.start + slot.path for group in groups]
                rows.extend(row for name, row in zip(flat, made, strict=True) if wanted(name, row.cell))
        yield Family(*key, rows)
    yield from _extra_families(kind, groups, wanted)


def _extra_families(
    kind: type[Group], groups: list[Group], wanted: Callable[[str, Cell], bool] | None
) -> Iterator[Family]:
    """Those of counters that appeared on the way: the same few paths in each group."""
    families: dict[str, Family] = {}
    slots: dict[str, Slot] = {}
    for group in groups:
        for path, counter in list(group.extra()):
            if wanted is None or wanted(group.start + path, counter):
                slot = slots.get(path) or slots.setdefault(path, _slot(kind, "", Counter, path))
                family = families.setdefault(slot.family, Family(slot.family, Counter, []))
                family.rows.append(Row(counter, slot.labels + group.labels, slot.text + group.text))
    yield from families.values()


class Group:
    """Cells that belong together, under `prefix.name.`; subclasses are slotted dataclasses that annotate them."""

    __slots__ = ("_registry", "labels", "name", "start", "text")

    prefix: ClassVar[str]
    tag: ClassVar[str]  # the Prometheus label that carries the name
    below: ClassVar[str] = ""  # what stands between the name and an attribute

    def __init__(self, registry: Stats, name: str) -> None:
        self.name = name.replace(":", "_")  # as Envoy does
        self.start = f"{self.prefix}.{self.name}." if name else f"{self.prefix}."
        self.labels: Labels = ((self.tag, self.name),) if name else ()
        self.text = labels_text(self.labels)
        self._registry = registry
        first = registry.join(self)
        for slot in layout(type(self)):
            setattr(self, slot.attribute, getattr(first, slot.attribute) if first else slot.kind())
        self.share(first)

    @classmethod
    def path(cls, attribute: str) -> str:
        """What Envoy calls `attribute`, below the group's name."""
        return cls.below + attribute

    def share(self, first: Group | None) -> None:
        """Makes what a subclass has besides cells, or shares it with the `first` group of this name."""

    def settle(self) -> None:
        """Writes the gauges that are worked out only when somebody reads."""

    def close(self) -> None:
        """Gives the group up; its cells leave the registry when no other group of this name is left."""
        self._registry.leave(self)

    def stats(self) -> Iterator[Stat]:
        self.settle()
        start, labels = self.start, self.labels
        for slot in layout(type(self)):
            yield Stat(start + slot.path, getattr(self, slot.attribute), slot.family, slot.labels + labels)
        for path, counter in list(self.extra()):
            family, code = _prometheus(f"{self.prefix}.{path}")
            yield Stat(start + path, counter, family, code + labels)

    def extra(self) -> Iterable[tuple[str, Counter]]:
        """Counters that exist only once they were needed, by their path."""
        return ()
