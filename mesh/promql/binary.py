"""PromQL's binary operators: arithmetic, comparisons, sets, and which series of both sides belong together."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Final

from mesh.promql.functions import Vector
from mesh.promql.series import METRIC, Labels
from mesh.promql.syntax import COMPARISONS, SET_OPERATORS, Matching, PromqlError

Value = float | Vector


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left)


def _power(left: float, right: float) -> float:
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return result if isinstance(result, float) else math.nan


OPERATORS: Final[dict[str, Callable[[float, float], float | bool]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": lambda left, right: math.fmod(left, right) if right else math.nan,
    "^": _power,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def combine(sign: str, left: Value, right: Value, matching: Matching, as_bool: bool) -> Value:
    """`left sign right`; a comparison without `as_bool` keeps what it holds for."""
    if sign in SET_OPERATORS:
        if not isinstance(left, dict) or not isinstance(right, dict):
            raise PromqlError(f"{sign} wants vectors on both sides")
        return _set(sign, left, right, matching)
    how = OPERATORS[sign]
    filters = sign in COMPARISONS and not as_bool
    if not isinstance(left, dict) and not isinstance(right, dict):
        if filters:
            raise PromqlError(f"{sign} between two numbers wants bool")
        return float(how(left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return _matched(how, left, right, matching, filters)
    if isinstance(left, dict):
        return _with_number(left, lambda value: how(value, right), filters)  # type: ignore[arg-type]
    return _with_number(right, lambda value: how(left, value), filters)  # type: ignore[arg-type]


def _with_number(vector: Vector, how: Callable[[float], float | bool], filters: bool) -> Vector:
    if filters:
        return {labels: value for labels, value in vector.items() if how(value)}
    return {_unnamed(labels): float(how(value)) for labels, value in vector.items()}


def _set(sign: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    if sign == "or":
        known = {_signature(labels, matching) for labels in left}
        return left | {labels: value for labels, value in right.items() if _signature(labels, matching) not in known}
    known = {_signature(labels, matching) for labels in right}
    wanted = sign == "and"
    return {labels: value for labels, value in left.items() if (_signature(labels, matching) in known) is wanted}


def _matched(
    how: Callable[[float, float], float | bool], left: Vector, right: Vector, matching: Matching, filters: bool
) -> Vector:
    """One-to-one, or many-to-one where `matching` says which side is many."""
    swapped = matching.many == "right"
    many, one = (right, left) if swapped else (left, right)
    ones: dict[Labels, tuple[Labels, float]] = {}
    for labels, value in one.items():
        signature = _signature(labels, matching)
        if signature in ones:
            raise PromqlError("several series on the side that may have one: group_left, group_right or more labels")
        ones[signature] = labels, value
    result: Vector = {}
    for labels, value in many.items():
        found = ones.get(_signature(labels, matching))
        if found is None:
            continue
        other_labels, other = found
        answer = how(other, value) if swapped else how(value, other)
        if filters and not answer:
            continue
        key = _result(labels, other_labels, matching, filters)
        if key in result:
            raise PromqlError("several series would have the same labels: group_left, group_right or more labels")
        result[key] = (other if swapped else value) if filters else float(answer)
    return result


def _result(labels: Labels, other: Labels, matching: Matching, filters: bool) -> Labels:
    if matching.many:
        have = dict(labels if filters else _unnamed(labels))
        for name in matching.include:
            value = dict(other).get(name, "")
            have.pop(name, None)
            if value:
                have[name] = value
        return tuple(sorted(have.items()))
    if filters:
        return labels if matching.labels is None else _kept(labels, matching)
    return _signature(labels, matching)


def _kept(labels: Labels, matching: Matching) -> Labels:
    assert matching.labels is not None  # noqa: S101  # the caller looked
    return tuple(pair for pair in labels if (pair[0] in matching.labels) is matching.on)


def _signature(labels: Labels, matching: Matching) -> Labels:
    if matching.labels is None:
        return _unnamed(labels)
    return tuple(pair for pair in labels if (pair[0] in matching.labels) is matching.on and pair[0] != METRIC)


def _unnamed(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != METRIC)
