"""What an expression is worth at one moment."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from statistics import fmean
from typing import Final

from mesh.promql import functions
from mesh.promql.binary import combine
from mesh.promql.functions import Vector
from mesh.promql.parse import parse
from mesh.promql.series import METRIC, Labels, Sample, Store
from mesh.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expression,
    Negation,
    Number,
    PromqlError,
    Selector,
    Text,
)

Value = float | Vector

_MATH: Final[dict[str, Callable[[float], float]]] = {
    "abs": abs,
    "ceil": lambda value: float(math.ceil(value)),
    "floor": lambda value: float(math.floor(value)),
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else math.nan,
    "exp": math.exp,
    "ln": lambda value: math.log(value) if value > 0 else -math.inf if value == 0 else math.nan,
}
_OVER_TIME: Final[dict[str, Callable[[list[float]], float]]] = {
    "avg_over_time": fmean,
    "min_over_time": min,
    "max_over_time": max,
    "sum_over_time": math.fsum,
    "count_over_time": lambda values: float(len(values)),
    "last_over_time": lambda values: values[-1],
    "changes": lambda values: float(sum(one != other for one, other in itertools.pairwise(values))),
}
_CHANGES: Final = {  # counter, per second
    "rate": (True, True),
    "increase": (True, False),
    "delta": (False, False),
}
_FOLDS: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "avg": fmean,
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,
}


def query(text: str, store: Store, at: float) -> Vector:
    """The instant vector that `text` gives; a number is a vector of one series without labels."""
    value = evaluate(parse(text), store, at)
    return value if isinstance(value, dict) else {(): value}


def evaluate(expression: Expression, store: Store, at: float) -> Value:
    """Raises PromqlError for what is no instant value, or not supported."""
    match expression:
        case Number(value):
            return value
        case Selector(window=0.0):
            return dict(store.newest(expression, at))
        case Selector():
            raise PromqlError(f"{expression.name}[…] is a range: expected it inside rate(), increase() …")
        case Negation(of):
            inner = evaluate(of, store, at)
            return {_unnamed(labels): -value for labels, value in inner.items()} if isinstance(inner, dict) else -inner
        case Binary(sign, left, right, matching, as_bool):
            return combine(sign, evaluate(left, store, at), evaluate(right, store, at), matching, as_bool)
        case Aggregation():
            return _aggregated(expression, store, at)
        case Call(name, arguments):
            return _called(name, arguments, store, at)
        case Text():
            raise PromqlError("a text is only an argument")


def _called(name: str, arguments: tuple[Expression, ...], store: Store, at: float) -> Value:
    if name in _CHANGES:
        counter, per_second = _CHANGES[name]
        window = _range(name, arguments).window
        return _each(
            name,
            arguments,
            store,
            at,
            lambda samples: functions.extrapolated(samples, at, window, counter=counter, per_second=per_second),
        )
    if name == "irate":
        return _each(name, arguments, store, at, functions.instant_rate)
    if name in _OVER_TIME:
        how = _OVER_TIME[name]
        return _each(name, arguments, store, at, lambda samples: functions.over_window(samples, how))
    if name in _MATH:
        (vector,) = _values(name, arguments, store, at, 1)
        how_one = _MATH[name]
        if not isinstance(vector, dict):
            return how_one(vector)
        return {_unnamed(labels): how_one(value) for labels, value in vector.items()}
    return _other(name, arguments, store, at)


def _other(name: str, arguments: tuple[Expression, ...], store: Store, at: float) -> Value:
    if name == "time":
        return at
    if name == "label_replace" and len(arguments) == 5:
        texts = [argument.value for argument in arguments[1:] if isinstance(argument, Text)]
        if len(texts) == 4:
            return functions.label_replace(_vector(evaluate(arguments[0], store, at), name), *texts)
    if name == "histogram_quantile":
        q, vector = _values(name, arguments, store, at, 2)
        return functions.histogram_quantile(_scalar(q, name), _vector(vector, name))
    if name == "vector":
        (value,) = _values(name, arguments, store, at, 1)
        return {(): _scalar(value, name)}
    if name == "scalar":
        (value,) = _values(name, arguments, store, at, 1)
        vector = _vector(value, name)
        return next(iter(vector.values())) if len(vector) == 1 else math.nan
    if name == "absent":
        (value,) = _values(name, arguments, store, at, 1)
        return {} if _vector(value, name) else {_equalities(arguments[0]): 1.0}
    if name in ("clamp_min", "clamp_max"):
        value, bound = _values(name, arguments, store, at, 2)
        limit, choose = _scalar(bound, name), max if name == "clamp_min" else min
        return {_unnamed(labels): choose(each, limit) for labels, each in _vector(value, name).items()}
    raise PromqlError(f"{name}() with {len(arguments)} arguments is not supported here")


def _aggregated(found: Aggregation, store: Store, at: float) -> Vector:
    groups: dict[Labels, list[tuple[Labels, float]]] = {}
    for labels, value in _vector(evaluate(found.of, store, at), found.operator).items():
        groups.setdefault(_group(labels, found), []).append((labels, value))
    if found.operator in _FOLDS:
        fold = _FOLDS[found.operator]
        return {labels: fold([value for _, value in members]) for labels, members in groups.items()}
    if found.parameter is None:
        raise PromqlError(f"{found.operator} wants a number first")
    number = _scalar(evaluate(found.parameter, store, at), found.operator)
    if found.operator == "quantile":
        return {labels: _quantile(number, [value for _, value in members]) for labels, members in groups.items()}
    top = found.operator == "topk"
    chosen = (sorted(members, key=operator.itemgetter(1), reverse=top)[: int(number)] for members in groups.values())
    return {labels: value for members in chosen for labels, value in members}


def _quantile(q: float, values: list[float]) -> float:
    values.sort()
    rank = q * (len(values) - 1)
    lower = max(0, math.floor(rank))
    upper = min(len(values) - 1, lower + 1)
    return values[lower] * (1 - (rank - lower)) + values[upper] * (rank - lower)


def _group(labels: Labels, found: Aggregation) -> Labels:
    if found.labels is None:
        return ()
    if found.without:
        return tuple(pair for pair in labels if pair[0] not in found.labels and pair[0] != METRIC)
    return tuple(pair for pair in labels if pair[0] in found.labels)


def _each(
    name: str,
    arguments: tuple[Expression, ...],
    store: Store,
    at: float,
    how: Callable[[list[Sample]], float | None],
) -> Vector:
    found = ((labels, how(samples)) for labels, samples in store.window(_range(name, arguments), at))
    return {_unnamed(labels): value for labels, value in found if value is not None}


def _range(name: str, arguments: tuple[Expression, ...]) -> Selector:
    if len(arguments) == 1 and isinstance(arguments[0], Selector) and arguments[0].window:
        return arguments[0]
    raise PromqlError(f"{name}() wants a range such as metric[1m]")


def _values(name: str, arguments: tuple[Expression, ...], store: Store, at: float, count: int) -> list[Value]:
    if len(arguments) != count:
        raise PromqlError(f"{name}() wants {count} arguments, not {len(arguments)}")
    return [evaluate(argument, store, at) for argument in arguments]


def _vector(value: Value, where: str) -> Vector:
    if not isinstance(value, dict):
        raise PromqlError(f"{where} wants a vector, not the number {value:g}")
    return value


def _scalar(value: Value, where: str) -> float:
    if isinstance(value, dict):
        raise PromqlError(f"{where} wants a number, not a vector")
    return value


def _unnamed(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != METRIC)


def _equalities(expression: Expression) -> Labels:
    """The labels that absent() can tell: those which its selector demands."""
    matchers = expression.matchers if isinstance(expression, Selector) else ()
    return tuple(sorted((each.label, each.value) for each in matchers if each.operator == "="))
