from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from mesh.istio.model import Found, Message, repeated, shown, suggestion


class Inner(Message):
    at_most_one = (("one", "two"),)

    one: int | None = None
    two: int | None = None
    long_name: str = ""


class Outer(Message):
    exactly_one = (("inner", "others"),)
    at_least_one = (("inner", "others", "limit"),)

    inner: Inner | None = None
    others: dict[str, Inner] | None = None
    limit: int = 0

    def rules(self) -> Iterator[Found]:
        if self.limit > 5:
            yield Found(("limit",), "too much")
            yield Found((), "and another")


def found(data: object) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def test_good_data() -> None:
    outer = Outer.model_validate({"inner": {"one": 1, "longName": "x"}, "limit": None})
    assert outer.inner is not None
    assert (outer.inner.one, outer.inner.long_name, outer.limit) == (1, "x", 0)


def test_everything_is_reported_at_once_and_in_its_place() -> None:
    data = {"inner": {"one": 1, "two": "2", "longname": "x"}, "others": {"k": {"two": 1.5}}, "x{y}": 1}
    assert found(data) == {
        ("others",): "inner and others exclude each other: set one of them",
        ("inner", "two"): 'must be an integer, not "2"; leave out the quotes',
        ("inner", "longname"): 'unknown field; did you mean "longName"?',
        ("others", "k", "two"): "must be an integer, not 1.5",
        ("x{y}",): "unknown field",
    }


def test_rules_speak_when_the_fields_are_good() -> None:
    assert found({"inner": {}, "limit": 6}) == {("limit",): "too much", (): "and another"}
    assert ("limit",) not in found({"limit": 6, "inner": 5})


def test_fields_are_not_known_by_their_python_names() -> None:
    assert found({"inner": {"long_name": "x"}}) == {("inner", "long_name"): 'unknown field; did you mean "longName"?'}


def test_missing_groups() -> None:
    assert found({"limit": 1}) == {(): "one of inner and others must be set"}


def test_suggestions() -> None:
    assert suggestion("Hosts", ["hosts", "host"]) == '; did you mean "hosts"?'
    assert suggestion("zzz", ["hosts"]) == ""
    assert suggestion("x", []) == ""


def test_shown_values_are_short_and_in_the_documents_spelling() -> None:
    assert [shown(value) for value in (None, True, False, 5, "a", {}, [], 1.5)] == [
        "null",
        "true",
        "false",
        "5",
        '"a"',
        "a mapping",
        "a list",
        "1.5",
    ]
    assert len(shown("x" * 1000)) <= 60
    assert len(shown(10**200)) <= 60


def test_repeated() -> None:
    assert list(repeated(["a", "b", "a", "a"])) == [(2, "a"), (3, "a")]
