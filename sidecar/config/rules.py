"""What Envoy's protobufs say about their own fields (`validate.rules`), compiled to checks per message type.

Envoy refuses a configuration that breaks them, so we do; the rules come with the message descriptors and need no list of
ours. Checks run on what a reader opens, so nothing is checked that nobody reads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import re2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from validate import validate_pb2

_LINE_END = re.compile("[\r\n\0]")

Check = Callable[[Any], str]  # what is wrong with the value, or ""

WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "String", "Bytes", "Int32", "Int64", "UInt32", "UInt64", "Float", "Double")
)


@dataclass(frozen=True, slots=True)
class MessageRules:
    """`checks` by field for the fields that are set; `missing` is (field, what to say) for those that must be set;
    `oneofs` is (name, members) of those of which one must be set."""

    names: dict[FieldDescriptor, str]  # reading a descriptor's `name` costs ten times this look-up
    known: frozenset[str]
    checks: dict[str, Check]
    missing: tuple[tuple[str, str], ...]
    oneofs: tuple[tuple[str, frozenset[str]], ...]
    any: bool  # whether there is one at all
    enums: dict[str, dict[int, str]]  # the names of the values, by field and number


@functools.cache
def rules_of(descriptor: Descriptor) -> MessageRules:
    """The rules of one message type."""
    checks: dict[str, Check] = {}
    missing: list[tuple[str, str]] = []
    for field in descriptor.fields:
        options = field.GetOptions()
        rules = options.Extensions[validate_pb2.rules] if options.HasExtension(validate_pb2.rules) else None
        check = _field_check(field, rules)
        if check is not None:
            checks[field.name] = check
        if rules is not None and (says := _when_missing(field, rules, check)):
            missing.append((field.name, says))
    oneofs = tuple(
        (oneof.name, frozenset(field.name for field in oneof.fields))
        for oneof in descriptor.oneofs
        if oneof.GetOptions().Extensions[validate_pb2.required]
    )
    names = {field: field.name for field in descriptor.fields}
    found = bool(checks or missing or oneofs)
    enums = {
        field.name: {number: value.name for number, value in field.enum_type.values_by_number.items()}
        for field in descriptor.fields
        if field.enum_type is not None
    }
    return MessageRules(names, frozenset(names.values()), checks, tuple(missing), oneofs, found, enums)


def _when_missing(field: FieldDescriptor, rules: Any, check: Check | None) -> str:
    """What to say of a field that is not set, or ""; members of a oneof are judged only when chosen."""
    if field.containing_oneof is not None:
        return ""
    if rules.message.required or rules.duration.required or rules.any.required:
        return "is required"
    if field.is_repeated:
        return f"needs {rules.repeated.min_items} or more" if rules.repeated.min_items else ""
    if field.message_type is not None or check is None:
        return ""
    says = check(field.default_value)  # a proto3 scalar that is not set has its default, and that may break a rule
    return "is required" if says and field.type == field.TYPE_STRING else says


def _field_check(field: FieldDescriptor, rules: Any) -> Check | None:
    """The check of a field's value when it is set, or None when it may be anything."""
    parts: list[Check] = []
    if field.enum_type is not None:
        parts.append(_enum(field.enum_type))
    if rules is None:
        return _element(parts[0], field) if parts else None
    kind = rules.WhichOneof("type")
    if kind == "repeated":
        return _repeated(rules.repeated, _field_check_of(rules.repeated.items), parts)
    if kind is not None and (value_check := _field_check_of(rules)) is not None:
        if field.message_type is not None and field.message_type.full_name in WRAPPERS:
            parts.append(_unwrapped(value_check))
        else:
            parts.append(value_check)
    return _all(parts)


def _field_check_of(rules: Any) -> Check | None:
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _string(rules.string)
    if kind == "bytes":
        return _length(rules.bytes)
    if kind in ("uint32", "uint64", "int32", "int64", "double", "float"):
        return _number(getattr(rules, kind))
    if kind == "bool":
        return _constant(rules.bool)
    if kind == "duration":
        return _duration(rules.duration)
    return None


def _all(parts: list[Check]) -> Check | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return lambda value: next((says for part in parts if (says := part(value))), "")


def _unwrapped(check: Check) -> Check:
    return lambda value: check(value.value)


def _element(check: Check, field: FieldDescriptor) -> Check:
    if not field.is_repeated:
        return check
    return lambda values: next((says for value in values if (says := check(value))), "")


def _repeated(rules: Any, item: Check | None, parts: list[Check]) -> Check:
    least, most = rules.min_items, rules.max_items if rules.HasField("max_items") else None
    checks = parts if item is None else [*parts, item]

    def check(values: Any) -> str:
        if len(values) < least:
            return f"needs {least} or more"
        if most is not None and len(values) > most:
            return f"has {len(values)} entries, at most {most} are allowed"
        for index, value in enumerate(values):
            for one in checks:
                if says := one(value):
                    return f"[{index}] {says}"
        return ""

    return check


def _enum(kind: EnumDescriptor) -> Check:
    known = frozenset(kind.values_by_number)
    return lambda value: "" if value in known else f"{value} is not a value of {kind.name}"


def _string(rules: Any) -> Check | None:
    parts: list[Check] = []
    if (length := _length(rules)) is not None:
        parts.append(length)
    if rules.HasField("well_known_regex"):
        parts.append(_header_text)
    if rules.pattern:
        pattern = re2.compile(rules.pattern)
        parts.append(lambda v: "" if pattern.search(v) else f"{v!r} does not match {rules.pattern}")
    if getattr(rules, "in"):
        allowed = tuple(getattr(rules, "in"))
        parts.append(lambda v: "" if v in allowed else f"{v!r} is not one of {', '.join(allowed)}")
    if rules.prefix:
        parts.append(lambda v: "" if v.startswith(rules.prefix) else f"{v!r} does not begin with {rules.prefix!r}")
    check = _all(parts)
    if check is None or not rules.ignore_empty:
        return check
    inner = check
    return lambda value: inner(value) if value else ""


def _header_text(value: str) -> str:
    """Envoy's non-strict header check: no character that could end a header."""
    return f"{value!r} has a line end or NUL" if _LINE_END.search(value) else ""


def _length(rules: Any) -> Check | None:
    least = rules.min_len
    most = rules.max_len or getattr(rules, "max_bytes", 0)
    if not least and not most:
        return None

    def check(value: Any) -> str:
        if len(value) < least:
            return "must not be empty" if least == 1 else f"must have {least} characters or more"
        return f"is longer than {most}" if most and len(value) > most else ""

    return check


def _constant(rules: Any) -> Check | None:
    if not rules.HasField("const"):
        return None
    return lambda value: "" if value == rules.const else f"must be {str(rules.const).lower()}"


def _number(rules: Any) -> Check | None:
    return _bounds({name: getattr(rules, name) for name in _BOUNDS if rules.HasField(name)}, float, _plain)


def _duration(rules: Any) -> Check | None:
    bounds = {name: seconds_of(getattr(rules, name)) for name in _BOUNDS if rules.HasField(name)}
    return _bounds(bounds, seconds_of, lambda seconds: f"{seconds:g}s")


_BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": ("more than", lambda value, bound: value > bound),
    "gte": ("at least", lambda value, bound: value >= bound),
    "lt": ("less than", lambda value, bound: value < bound),
    "lte": ("at most", lambda value, bound: value <= bound),
}


def _bounds(bounds: dict[str, Any], number: Callable[[Any], float], text: Callable[[Any], str]) -> Check | None:
    if not bounds:
        return None
    tests = [(_BOUNDS[name][1], bound) for name, bound in bounds.items()]
    wanted = " and ".join(f"{_BOUNDS[name][0]} {text(bound)}" for name, bound in bounds.items())

    def check(value: Any) -> str:
        amount = number(value)
        if all(test(amount, bound) for test, bound in tests):
            return ""
        return f"is {text(amount)}, must be {wanted}"

    return check


def _plain(number: float) -> str:
    return f"{number:.15g}"


def seconds_of(duration: Any) -> float:
    """A google.protobuf.Duration in seconds."""
    return float(duration.seconds + duration.nanos / 1e9)
