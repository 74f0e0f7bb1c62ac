"""The part of Prometheus' templates that annotations use: `{{ $labels.name }}`, `{{ $value }}`, and the functions that
write numbers for people. Anything else is refused when the rule is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from mesh.promql.syntax import PromqlError

_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_KNOWN: Final = re.compile(r"\$(?:labels\.(?P<label>\w+)|(?P<value>value))(?:\s*\|\s*(?P<function>\w+))?")


def humanize_percentage(value: float) -> str:
    return f"{value * 100:.4g}%"


def humanize_duration(value: float) -> str:
    """Seconds as Prometheus writes them: `1h 30m 0s`, `250ms`."""
    if abs(value) < 1:
        for unit in ("", "m", "u", "n"):
            if abs(value) >= 1 or unit == "n" or not value:
                return f"{value:.4g}{unit}s"
            value *= 1000
    whole, sign = int(abs(value)), "-" if value < 0 else ""
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {rest}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {rest}s"
    return f"{sign}{minutes}m {rest}s" if minutes else f"{value:.4g}s"


_FUNCTIONS: Final[dict[str, Callable[[float], str]]] = {
    "humanize": lambda value: f"{value:.4g}",
    "humanizePercentage": humanize_percentage,
    "humanizeDuration": humanize_duration,
}


class Template:
    """A text with actions in it. Raises PromqlError for an action that is not supported."""

    def __init__(self, text: str) -> None:
        self.text = text
        for action in _ACTION.findall(text):
            found = _KNOWN.fullmatch(action)
            if found is None or (found["function"] and (found["label"] or found["function"] not in _FUNCTIONS)):
                raise PromqlError(f"{{{{ {action} }}}} is not supported: expected $labels.NAME or $value, with {_LIST}")

    def expand(self, labels: Mapping[str, str], value: float) -> str:
        def replaced(action: re.Match[str]) -> str:
            found = _KNOWN.fullmatch(action[1])
            if found is None:  # the constructor looked
                return action[0]
            if found["label"]:
                return labels.get(found["label"], "")
            function = found["function"]
            return _FUNCTIONS[function](value) if function else f"{value:.15g}"

        return _ACTION.sub(replaced, self.text)


_LIST: Final = " or ".join(_FUNCTIONS)
