"""Matches of a VirtualService's routes, joined: a request passes the result where it passes both. Documents; pure.

A route's `match` is a list of which any has to hold; within one, all fields have to. What one match cannot say (two
regular expressions for one field) is a MatchError, never something near it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import re2

from mesh.errors import MeshError

Match = Mapping[str, Any]

_TEXTS: Final = ("uri", "scheme", "method", "authority")
_VALUES: Final = ("port", "sourceNamespace")
_ABSENT: Final = "*"  # as a regex in withoutHeaders: no value at all


class MatchError(MeshError):
    """Two matches that no match says both of."""


class _Never(Exception):  # noqa: N818  # no request passes both; nothing is wrong
    pass


def both(route: Sequence[Match], added: Sequence[Match]) -> list[dict[str, Any]]:
    """What passes any of `route` and any of `added`; an empty list of these passes everything. Empty: nothing can."""
    found = []
    for one in route or [{}]:
        for other in added or [{}]:
            try:
                found.append(_joined(one, other))
            except _Never:
                continue
    return found


def _joined(one: Match, other: Match) -> dict[str, Any]:
    result = {**other, **one}
    folded = bool((one if "uri" in one else other).get("ignoreUriCase"))
    result["ignoreUriCase"] = folded
    for name in sorted(one.keys() & other.keys()):
        if name in _TEXTS:
            if name == "uri" and folded != bool(other.get("ignoreUriCase")):
                raise MatchError("a route's match of uri and the experiment's differ in ignoreUriCase")
            result[name] = _texts(name, one[name], other[name], folded and name == "uri")
        elif name in ("headers", "queryParams"):
            result[name] = _tables(name, one[name], other[name], _texts)
        elif name == "withoutHeaders":
            result[name] = _tables(name, one[name], other[name], _neither)
        elif name == "sourceLabels":
            result[name] = _tables(name, one[name], other[name], _equal)
        elif name == "gateways":
            result[name] = [each for each in one[name] if each in other[name]]
            if not result[name]:
                raise _Never
        elif name in _VALUES:
            result[name] = _equal(name, one[name], other[name])
    if not folded:
        del result["ignoreUriCase"]
    return result


def _tables(
    name: str, one: Mapping[str, Any], other: Mapping[str, Any], join: Callable[[str, Any, Any], Any]
) -> dict[str, Any]:
    shared = {key: join(f"{name}.{key}", one[key], other[key]) for key in one.keys() & other.keys()}
    return {**other, **one, **shared}


def _equal(_name: str, one: Any, other: Any) -> Any:
    if one != other:
        raise _Never
    return one


def _texts(name: str, one: Match, other: Match, folded: bool = False) -> Match:
    """Of two ways to match one text, the narrower one. An empty one asks only that there is a text."""
    if not one or not other or one == other:
        return one or other
    for narrow, wide in ((one, other), (other, one)):
        if "exact" in narrow:
            if not _passes(narrow["exact"], wide, folded):
                raise _Never
            return narrow
    if "prefix" in one and "prefix" in other:
        short, long = sorted((one, other), key=lambda each: len(each["prefix"]))
        if not _passes(long["prefix"], short, folded):
            raise _Never
        return long
    raise MatchError(f"a route matches {name} already, and not so that the experiment's match could be added to it")


def _passes(text: str, match: Match, folded: bool) -> bool:
    if "regex" in match:
        return re2.fullmatch(match["regex"], text) is not None
    kind = "exact" if "exact" in match else "prefix"
    wanted = match[kind]
    if folded:
        text, wanted = text.lower(), wanted.lower()
    return bool(text == wanted if kind == "exact" else text.startswith(wanted))


def _neither(_name: str, one: Match, other: Match) -> Match:
    """Of two values that a header must not have: neither."""
    for each in (one, other):
        if not each or each.get("regex") == _ABSENT:
            return {"regex": _ABSENT}
    return one if one == other else {"regex": f"{_pattern(one)}|{_pattern(other)}"}


def _pattern(match: Match) -> str:
    if "regex" in match:
        return f"(?:{match['regex']})"
    if "exact" in match:
        return f"(?:{re2.escape(match['exact'])})"
    return f"(?:{re2.escape(match['prefix'])}(?s:.*))"
