"""The base of every message of the API: strict, frozen, and with problems written for people.

A message reports everything that is wrong with it in one `pydantic.ValidationError`, each problem placed by a path in
the document's spelling: what pydantic finds in its fields, unknown fields, fields that Istio knows and we refuse
(`refused.py`), fields that exclude each other, and what its own `rules()` say once its fields are good.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from mesh.istio.misplaced import belongs
from mesh.istio.reasons import reason
from mesh.istio.refused import NOT_YET, refused_field, refused_values

PROBLEM = "problem"  # the error type of a problem whose message is final

Path = tuple[str | int, ...]


class Found(NamedTuple):
    """A problem, placed relative to the message that found it."""

    path: Path
    message: str


class Message(BaseModel):
    """Attribute names are the snake_case of the API's camelCase. A null is an absent field, as in protobuf's JSON."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=False,
        hide_input_in_errors=True,
    )

    # Groups of fields (document spelling) of which at most one may be set; of which exactly one must be.
    at_most_one: ClassVar[tuple[tuple[str, ...], ...]] = ()
    exactly_one: ClassVar[tuple[tuple[str, ...], ...]] = ()
    # Groups of fields of which one at least must be set.
    at_least_one: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def rules(self) -> Iterator[Found]:
        """What is wrong with this message although each of its fields is right."""
        yield from ()

    @classmethod
    def field_names(cls) -> list[str]:
        """The fields in the document's spelling."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @model_validator(mode="wrap")
    @classmethod
    def _report_everything(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        if None in data.values():
            data = {key: value for key, value in data.items() if value is not None}
        grouped = cls.at_most_one or cls.exactly_one or cls.at_least_one
        details = [_detail(found, data) for found in cls._presence(data)] if grouped else []
        try:
            message = handler(data)
        except ValidationError as error:
            details += [_detail(Found(e["loc"], cls._explain(e)), e["input"]) for e in error.errors(include_url=False)]
        else:
            details += [_detail(found, data) for found in message.rules()]
            if not details:
                return message
        raise ValidationError.from_exception_data(cls.__name__, details)

    @classmethod
    def _presence(cls, data: dict[str, Any]) -> Iterator[Found]:
        for group in (*cls.at_most_one, *cls.exactly_one):
            present = [name for name in group if name in data]
            if len(present) > 1:
                yield Found((present[1],), f"{_names(present)} exclude each other: set one of them")
        for group in (*cls.exactly_one, *cls.at_least_one):
            # What is refused may be what is missed here, and has a better message.
            if not any(name in data for name in group) and not any(refused_field(cls.__name__, name) for name in data):
                yield Found((), f"one of {_names(group)} must be set")

    @classmethod
    def _explain(cls, error: Any) -> str:
        if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
            name = str(error["loc"][0])
            reason = refused_field(cls.__name__, name)
            return reason or f"unknown field{_elsewhere(name, cls) or suggestion(name, cls.field_names())}"
        if error["type"] == "enum":
            return _explain_enum(error, cls.__name__, str(error["loc"][0]))
        return explain(error)


def _elsewhere(name: str, model: type[Message]) -> str:
    return belongs(name, model, _subclasses(Message))


def _subclasses(model: type[Message]) -> Iterator[type[Message]]:
    for each in model.__subclasses__():
        yield each
        yield from _subclasses(each)


def _detail(found: Found, value: Any) -> InitErrorDetails:
    return {"type": PydanticCustomError(PROBLEM, "{text}", {"text": found.message}), "loc": found.path, "input": value}


def _names(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def repeated(values: Iterable[str | int]) -> Iterator[tuple[int, str | int]]:
    """The values that were there before, with their places."""
    seen: set[str | int] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index, value
        seen.add(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` when a known name is near, else an empty string."""
    by_lower = {item.lower(): item for item in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f'; did you mean "{by_lower[near[0]]}"?' if near else ""


def _explain_enum(error: Any, message: str, field: str) -> str:
    expected = [word.strip("' ") for word in str(error["ctx"]["expected"]).replace(" or ", ", ").split(",")]
    expected = [word for word in expected if word]  # the unset value has no word
    value = error["input"]
    if value in refused_values(message, field):
        why = reason(message, f"{field}={value}")
        return f"{value} is {NOT_YET}{why and f': {why}'}; implemented: {', '.join(expected)}"
    hint = suggestion(value, expected) if isinstance(value, str) else ""
    return f"must be one of {', '.join(expected)}, not {shown(value)}{hint}"


_EXPECTED = {
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping",
}


def explain(error: Any) -> str:
    """One of pydantic's errors as a sentence about the document."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == PROBLEM:
        return str(context["text"])
    if kind == "missing":
        return "is required"
    value = error["input"]
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not {shown(value)}{_quoting(kind, value)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        word, limit = ("least", context["ge"]) if kind == "greater_than_equal" else ("most", context["le"])
        return f"must be at {word} {limit}, not {shown(value)}"
    if kind == "too_short":
        return "must not be empty"
    return str(error["msg"])


def _quoting(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return "; put it in quotes"
    if kind in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return "; leave out the quotes" if _would_be(kind, value) else ""
    return ""


def _would_be(kind: str, text: str) -> bool:
    if kind == "bool_type":
        return text in ("true", "false")
    try:
        float(text)
    except ValueError:
        return False
    return kind == "float_type" or text.lstrip("+-").isdigit()


def shown(value: Any) -> str:
    """A value as a document would spell it, short enough for a message."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:56]}…" + ('"' if isinstance(value, str) else "")


__all__ = ["PROBLEM", "Found", "Message", "Path", "explain", "repeated", "shown", "suggestion"]
