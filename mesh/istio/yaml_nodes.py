"""YAML as Kubernetes reads it: its scalars, no duplicate keys, every value with its place.

Receives text, yields one `Node` per document. Built on PyYAML's events, without recursion, so that hostile text cannot
hurt: its length, its depth and the number of its values are capped, aliases counted as what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import yaml

from mesh.istio.yaml_flow import flow_events, worth_another_look
from mesh.istio.yaml_scalars import OutOfRangeError, resolved

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml: the same events, ten times slower
    from mesh.istio.yaml_flow import Loader as SafeLoader  # type: ignore[assignment]

MAX_TEXT: Final = 32 * 1024 * 1024
MAX_DEPTH: Final = 100  # the API's own depth is about 15
MAX_VALUES: Final = 2_000_000

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_TAG_TYPES: Final[dict[str, type]] = {"int": int, "float": float, "bool": bool, "null": type(None)}
_TEMPLATE: Final = "{{"
NOT_RENDERED: Final = "a template ({{ … }}) that nobody has rendered: run `helm template` (or whatever it is for) first"
_COLUMN_BITS: Final = 26  # no line is longer than MAX_TEXT
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class YamlError(Exception):
    """The text is no YAML that Kubernetes would read."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.message = message
        self.line, self.column = line_and_column(place)


def place_of(line: int, column: int = 0) -> int:
    """A line and a column, both from 1, as one number: there is one for every key and value, and there are many. A column
    that is 0 is not known."""
    return line << _COLUMN_BITS | column


def line_and_column(place: int) -> tuple[int, int]:
    return place >> _COLUMN_BITS, place & (1 << _COLUMN_BITS) - 1


_NO_PLACES: Final[dict[str, int]] = {}  # of what is no mapping; nobody writes to it


@dataclass(slots=True, eq=False)
class Node:
    """A value and where it is. `data` is plain JSON data; `children` holds the nodes of a mapping's or list's values,
    `key_places` the places of a mapping's keys. `size` and `height` count what it stands for, aliases expanded."""

    place: int
    data: Any
    children: dict[str, Node] | list[Node] | None = None
    key_places: dict[str, int] = field(default_factory=lambda: _NO_PLACES)
    size: int = 1
    height: int = 1
    plain: str = ""  # the text of an unquoted scalar
    closed: bool = True
    key: Node | None = None  # of an open mapping: the key that waits for its value
    merged: list[Node] | None = None  # of an open mapping: what `<<` brings, first wins

    @property
    def line(self) -> int:
        return line_and_column(self.place)[0]

    def line_of(self, path: tuple[str | int, ...]) -> int:
        return line_and_column(self.place_of(path))[0]

    def place_of(self, path: tuple[str | int, ...]) -> int:
        """Where the value at a path is (its key, in a mapping), or the nearest value above what is missing."""
        node, place = self, self.place
        for step in path:
            children = node.children
            if isinstance(children, dict) and isinstance(step, str) and step in children:
                place, node = node.key_places[step], children[step]
            elif isinstance(children, list) and isinstance(step, int) and step < len(children):
                node = children[step]
                place = node.place
            else:
                break
        return place


def compose(text: str) -> Iterator[Node]:
    """The documents of a text; raises `YamlError` at the first that is broken, after yielding those before it."""
    if len(text) > MAX_TEXT:
        raise YamlError(f"the text has {len(text)} characters; {MAX_TEXT} is the limit", 0)
    if bad := _UNPRINTABLE.search(text):
        place = place_of(text.count("\n", 0, bad.start()) + 1, bad.start() - text.rfind("\n", 0, bad.start()))
        raise YamlError(f"broken YAML: the character U+{ord(bad.group()):04X} is not allowed", place)
    if text.lstrip()[:1] in ("{", "["):
        text = _SURROGATES.sub(_joined, text)
    done = 0
    try:
        for root in _roots(yaml.parse(text, Loader=SafeLoader)):
            done += 1
            yield root
    except yaml.MarkedYAMLError as error:
        if not worth_another_look(text, error):
            raise _broken(error, text) from None
        yield from _read_again(text, done, error)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the pure-Python scanner's chr() and int()
        raise YamlError(f"broken YAML: {error}", 0) from None


def _roots(events: Iterable[yaml.Event]) -> Iterator[Node]:
    composer = _Composer()
    for event in events:
        root = composer.take(event)
        if root is not None:
            yield root


def _read_again(text: str, done: int, refused: yaml.MarkedYAMLError) -> Iterator[Node]:
    """The documents after the first `done`, flow collections read as in YAML 1.2."""
    try:
        yield from islice(_roots(flow_events(text)), done, None)
    except (yaml.YAMLError, ValueError, OverflowError):
        raise _broken(refused, text) from None


def _joined(pair: re.Match[str]) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, YAML as one."""
    high, low = (int(half, 16) for half in pair.groups())
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"


def _broken(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line = min(mark.line + 1, text.rstrip().count("\n") + 1) if mark else 0
    for each in dict.fromkeys((line, error.context_mark.line + 1 if error.context_mark else line)):
        if plain := _plain_word(error, text, each):
            return YamlError(plain, place_of(each))
    context = error.context or ""
    if context and error.context_mark and mark and error.context_mark.line != mark.line:
        context += f" that begins on line {error.context_mark.line + 1}"
    reason = ", ".join(part for part in (context, error.problem) if part)
    column = mark.column + 1 if mark and line == mark.line + 1 else 0
    return YamlError(f"broken YAML: {reason}", place_of(line, column))


def _plain_word(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    """What the slip is when it is one of the common ones, else an empty string."""
    lines = text.split("\n", line)
    written = lines[line - 1] if 0 < line <= len(lines) else ""  # YAML knows other line ends, too
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return "a tab: YAML is indented with spaces only"
    if _TEMPLATE in written:
        return NOT_RENDERED
    if error.problem and error.problem.startswith("mapping values are not allowed"):
        return 'a ": " within a value (put the value in quotes), or a line that is indented further than it should be'
    return ""


class _Composer:
    """Builds nodes from events; `take` returns the root when its document ends."""

    def __init__(self) -> None:
        self._open: list[Node] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None
        self._values = 0

    def take(self, event: yaml.Event) -> Node | None:
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            self._values += 1
            if self._values > MAX_VALUES:
                self._count(0, node.place)
            self._attach(node, node.place)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._begin(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            node = self._open.pop()
            if node.merged is not None:
                self._merge(node, node.merged)
            node.closed = True
            self._attach(node, node.place)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            root, self._root, self._anchors = self._root, None, {}
            return root
        return None

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        place = _place(event)
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _TAG + ("map" if mapping else "seq")):
            raise YamlError(f'the tag "{_short_tag(event.tag)}" is not supported', place)
        if len(self._open) >= MAX_DEPTH:
            raise YamlError(f"more than {MAX_DEPTH} values deep", place)
        node = Node(place, {}, {}, {}, closed=False) if mapping else Node(place, [], [], closed=False)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._count(1, place)
        self._open.append(node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        place = _place(event)
        target = self._anchors.get(str(event.anchor))
        if target is None:
            raise YamlError(f'the alias "*{event.anchor}" has no anchor before it', place)
        if not target.closed:
            raise YamlError(f'the alias "*{event.anchor}" contains itself', place)
        if len(self._open) + target.height > MAX_DEPTH:
            raise YamlError(f"more than {MAX_DEPTH} values deep", place)
        self._count(target.size, place)
        self._attach(target, place)

    def _count(self, values: int, place: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise YamlError(f"more than {MAX_VALUES} values, aliases expanded", place)

    def _attach(self, node: Node, place: int) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if node.height >= parent.height:
            parent.height = node.height + 1
        if isinstance(parent.children, list):
            parent.children.append(node)
            parent.data.append(node.data)
        elif parent.key is None:
            if node.children is not None:
                template = isinstance(node.children, dict)
                raise YamlError(NOT_RENDERED if template else "a key must be a string", place)
            # An alias as a key stands where the alias is.
            parent.key = node if node.place == place else Node(place, node.data, plain=node.plain)
        else:
            key, parent.key = parent.key, None
            _put(parent, key, node)

    def _merge(self, node: Node, sources: list[Node]) -> None:
        children = node.children
        assert isinstance(children, dict)  # noqa: S101 - for the type checker: only mappings collect merges
        for source in sources:
            assert isinstance(source.children, dict)  # noqa: S101
            self._count(source.size, node.place)
            for name, child in source.children.items():
                if name not in children:
                    children[name] = child
                    node.data[name] = child.data
                    node.key_places[name] = source.key_places[name]


def _place(event: yaml.Event) -> int:
    mark = event.start_mark
    return (mark.line + 1) << _COLUMN_BITS | (mark.column + 1) if mark else 0


def _put(parent: Node, key: Node, value: Node) -> None:
    children = parent.children
    if key.plain == "<<":
        parent.merged = [*(parent.merged or ()), *_merge_sources(value, key.place)]
        return
    name = key.data if type(key.data) is str else _key_text(key)
    if name in parent.key_places:
        raise YamlError(
            f'the key "{name}" is there twice, first on line {line_and_column(parent.key_places[name])[0]}', key.place
        )
    children[name] = value  # type: ignore[index,call-overload]  # a mapping's
    parent.data[name] = value.data
    parent.key_places[name] = key.place


def _merge_sources(value: Node, place: int) -> list[Node]:
    sources = value.children if isinstance(value.children, list) else [value]
    if not all(isinstance(source.children, dict) for source in sources):
        raise YamlError('"<<" merges a mapping or a list of mappings', place)
    return sources


def _key_text(key: Node) -> str:
    """Kubernetes reads keys as strings, whatever they look like."""
    data = key.data
    if data is None:
        raise YamlError("a key must not be null", key.place)
    if isinstance(data, bool):
        return "true" if data else "false"
    return data if isinstance(data, str) else key.plain or str(data)


def _scalar(event: yaml.ScalarEvent) -> Node:
    place = _place(event)
    text: str = event.value
    if not text.isascii() and _HALF_PAIR.search(text):  # libyaml refuses the escape itself
        raise YamlError("half of a surrogate pair", place)
    tag = event.tag
    if tag is None:
        if event.implicit[0]:
            return Node(place, _resolved(text, place), plain=text)
        return Node(place, text)
    if tag in ("!", _TAG + "str"):
        return Node(place, text)
    wanted = _TAG_TYPES.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
    if wanted is None:
        raise YamlError(f'the tag "{_short_tag(tag)}" is not supported', place)
    value = _resolved(text, place)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise YamlError(f'"{text[:40]}" is not a value of the tag "{_short_tag(tag)}"', place)
    return Node(place, value)


def _resolved(text: str, place: int) -> Any:
    try:
        return resolved(text)
    except OutOfRangeError:
        raise YamlError("a number out of range", place) from None


def _short_tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
