"""YAML or JSON text → a protobuf message, the way Envoy reads its files, with the line of whatever is wrong.

Scalars are JSON's, as in Envoy: `yes`, `on` and dates are strings. Types in `Any` that the protobufs do not know are kept
as TypedStruct, so that who reads the message can refuse them by name, or skip them where they are optional.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError

from mesh.errors import ConfigError, Problem
from sidecar.config.json_message import UnusualError, construct
from sidecar.config.types import import_type

TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct"

# libyaml reads four times as fast; its absence is no reason not to start.
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"


class _Loader(_BASE):  # type: ignore[misc]
    """YAML with JSON's scalars only."""

    def construct_document(self, node: yaml.Node) -> Any:
        """The data of a tree of nodes: at once where it is made of what configuration is made of, which takes a third of
        the time that PyYAML takes; else by PyYAML."""
        try:
            return self._plain(node, {})
        except (_UnusualError, RecursionError, TypeError):  # a key that cannot be one is a TypeError
            return super().construct_document(node)

    def _plain(self, node: yaml.Node, scalars: dict[tuple[str, str], Any]) -> Any:
        """`scalars` holds those that were met before, by tag and text."""
        tag, kind, plain = node.tag, type(node), self._plain
        if kind is yaml.ScalarNode:
            if tag == _STR:
                return node.value
            if (key := (tag, node.value)) not in scalars:
                if tag not in _SCALARS:
                    raise _UnusualError
                scalars[key] = self.construct_object(node)
            return scalars[key]
        if kind is yaml.MappingNode and tag == _MAP:
            return {plain(key, scalars): plain(value, scalars) for key, value in node.value}
        if kind is yaml.SequenceNode and tag == _SEQ:
            return [plain(each, scalars) for each in node.value]
        raise _UnusualError


class _UnusualError(Exception):
    """A tag that somebody wrote down."""


_STR, _MAP, _SEQ = _TAG + "str", _TAG + "map", _TAG + "seq"
_SCALARS = frozenset(_TAG + kind for kind in ("bool", "null", "int", "float"))
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", "nN~\0"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        _TAG + _tag,
        re.compile(f"^(?:{_pattern})$"),
        ["" if char == "\0" else char for char in _first],
    )
_Loader.add_constructor(_TAG + "int", lambda loader, node: int(loader.construct_scalar(node), 0))
_Loader.add_constructor(_TAG + "float", lambda loader, node: float(loader.construct_scalar(node)))


class Document:
    """One text and the message type that it is written in."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._lines: dict[str, int] | None = None

    def parse(self, message: Any) -> Any:
        """The message that the text says, of the type of `message`, which is empty and may be filled. Raises ConfigError
        with every field that it does not have, or with what else is wrong."""
        try:
            data = yaml.load(self._text, _Loader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
            raise ConfigError(Problem(f"not YAML: {error.problem}", file=self._file, line=line)) from error
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(Problem(f"not YAML: {error}", file=self._file)) from error
        if data is None:
            return message
        if not isinstance(data, dict):
            raise ConfigError(Problem("must be a mapping of fields", file=self._file, line=1))
        try:
            return construct(data, type(message))
        except (UnusualError, RecursionError):
            return self._parse_dict(data, message)

    def _parse_dict(self, data: Any, message: Any) -> Any:
        try:
            data = _known_types(data)
            return ParseDict(data, message)
        except RecursionError as error:  # an anchor within itself, too
            raise ConfigError(Problem("is nested too deep", file=self._file)) from error
        except (ParseError, TypeError, ValueError) as error:
            problems = list(_unknown_fields(data, message.DESCRIPTOR, "")) or [_parse_problem(error)]
            raise self.located(problems) from error

    def located(self, problems: Iterable[Problem]) -> ConfigError:
        """The same problems with file and line."""
        return ConfigError(*(Problem(p.message, p.field, self._file, self._line_of(p.field)) for p in problems))

    def _line_of(self, path: str) -> int:
        """The line of a field, or of the innermost part of its path that is in the text; 0 for what is not."""
        if self._lines is None:
            self._lines = {}
            _number_lines(yaml.compose(self._text, _Loader), "", self._lines)
        parts = _steps(path)
        for length in range(len(parts), 0, -1):
            if line := self._lines.get(".".join(parts[:length])):
                return line
        return 0


def _steps(path: str) -> list[str]:
    """`a.b[0].c["x.y"]` → a, b, 0, c, x.y, in the spelling under which lines are kept."""
    return [_snake(quoted or word) for quoted, word in re.findall(r'\["([^"]*)"\]|([^.\[\]"]+)', path)]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)


def _number_lines(node: yaml.Node | None, path: str, lines: dict[str, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{path}.{_snake(str(key.value))}" if path else _snake(str(key.value))
            lines[below] = key.start_mark.line + 1
            _number_lines(value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{path}.{index}"] = value.start_mark.line + 1
            _number_lines(value, f"{path}.{index}", lines)


# ── types ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def message_of(data: Any, message: Any) -> Any:
    """The message that plain JSON data says, of the type of `message`, which is empty and may be filled. Raises
    ConfigError for data that says none."""
    try:
        return construct(data, type(message))
    except (UnusualError, RecursionError):
        pass
    try:
        return ParseDict(_known_types(data), message)
    except (ParseError, TypeError, ValueError) as error:
        raise ConfigError(_parse_problem(error)) from error


def _known_types(data: Any) -> Any:
    """The same data, with every `@type` that nobody can import wrapped as a TypedStruct."""
    if isinstance(data, list):
        return [_known_types(each) for each in data]
    if not isinstance(data, dict):
        return data
    result = {key: _known_types(value) for key, value in data.items()}
    kind = result.get("@type")
    if isinstance(kind, str) and not import_type(kind.rpartition("/")[2]):
        del result["@type"]
        import_type("xds.type.v3.TypedStruct")
        return {"@type": TYPED_STRUCT, "type_url": kind, "value": result}
    return result


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _unknown_fields(data: Any, descriptor: Descriptor, path: str) -> Iterable[Problem]:
    """Every key that names no field of its message."""
    if not isinstance(data, dict) or _is_special(descriptor):
        return
    names = {spelling: field for field in descriptor.fields for spelling in (field.name, field.json_name)}
    for key, value in data.items():
        where = f"{path}.{key}" if path else str(key)
        field = names.get(key)
        if field is None:
            yield Problem(f"there is no such field in {descriptor.full_name}", where)
        else:
            yield from _below(value, field, where)


def _below(value: Any, field: FieldDescriptor, path: str) -> Iterable[Problem]:
    descriptor = field.message_type
    if descriptor is None:
        return
    if descriptor.GetOptions().map_entry:
        element = descriptor.fields_by_name["value"].message_type
        if element is not None and isinstance(value, dict):
            for key, each in value.items():
                yield from _message(each, element, f'{path}["{key}"]')
    elif field.is_repeated:
        for index, each in enumerate(value if isinstance(value, list) else ()):
            yield from _message(each, descriptor, f"{path}[{index}]")
    else:
        yield from _message(value, descriptor, path)


def _message(value: Any, descriptor: Descriptor, path: str) -> Iterable[Problem]:
    if descriptor.full_name == "google.protobuf.Any" and isinstance(value, dict):
        name = str(value.get("@type", "")).rpartition("/")[2]
        if name and import_type(name):
            found = descriptor_pool.Default().FindMessageTypeByName(name)
            rest = {key: each for key, each in value.items() if key != "@type"}
            yield from _unknown_fields(rest, found, path)
        elif not name:
            yield Problem("needs @type", path)
        return
    yield from _unknown_fields(value, descriptor, path)


def _is_special(descriptor: Descriptor) -> bool:
    """Messages with a JSON form of their own (Duration, Struct, the wrappers …)."""
    return bool(descriptor.file.package == "google.protobuf")


def _parse_problem(error: Exception) -> Problem:
    """What protobuf says, with the place taken out of its sentence."""
    text = str(error)
    found = re.search(r"\bat \"?[A-Za-z]+\.([\w.\[\]]+)\"?", text) or re.search(r"Failed to parse (\w+) field", text)
    return Problem(text.rstrip("."), found[1] if found else "")
