"""What an unquoted scalar is for Kubernetes, which reads YAML with Go's library: booleans of YAML 1.1, numbers as in Go.

`y` and `n` are booleans there, too. Here they stay names: nobody writes a boolean that way, and `name: y` is plain.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_OTHER_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[1-9][0-9]*|0)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NO_JSON: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BEGINS_NUMBERS: Final = frozenset("-+.0123456789")
_LONGEST_INTEGER: Final = 100


def _spelled(word: str) -> tuple[str, str, str]:
    return word, word.capitalize(), word.upper()


_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", *_spelled("null"))),
    **dict.fromkeys((*_spelled("true"), *_spelled("yes"), *_spelled("on")), True),
    **dict.fromkeys((*_spelled("false"), *_spelled("no"), *_spelled("off")), False),
}


class OutOfRangeError(ValueError):
    """A number that JSON has no room for."""


def resolved(text: str) -> Any:
    """Null, a boolean or a number, else the text itself (a date, `1e`, `12:30`)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _BEGINS_NUMBERS:  # as most do
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text, 10)
    plain = text.replace("_", "") if text[0] != "." else text
    if found := _OTHER_INTEGER.fullmatch(plain):
        sign, digits = found.groups()
        return -_integer(digits, _base(digits)) if sign == "-" else _integer(digits, _base(digits))
    if _FLOAT.fullmatch(plain):
        return _float(plain)
    if _NO_JSON.fullmatch(text):
        raise OutOfRangeError
    return text


def _integer(digits: str, base: int) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise OutOfRangeError
    return int(digits, base)


def _base(digits: str) -> int:
    if digits[0] != "0" or digits == "0":
        return 10
    return {"x": 16, "X": 16, "b": 2, "B": 2}.get(digits[1], 8)


def _float(text: str) -> float | int:
    if text.lstrip("-+").isdigit():  # `08`: no octal number, and so a decimal one
        return _integer(text, 10)
    number = float(text)
    if math.isinf(number):
        raise OutOfRangeError
    return number


def reads_as_string(text: str) -> bool:
    """Whether a text without quotes is read as a string."""
    try:
        return isinstance(resolved(text), str)
    except OutOfRangeError:
        return False
