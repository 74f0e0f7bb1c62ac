from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mesh.cel.evaluate import Evaluated, compile_tree
from mesh.cel.parse import parse

VALUES = {"code": 404, "text": "reviews", "yes": True, "no": False, "half": 0.5}


class Fixed:
    def attribute(self, path: str) -> Evaluated | None:
        return (lambda x: x.get(path)) if path != "map.key" else None

    def entries(self, _path: str) -> Callable[[Any, str], str | None]:
        return lambda _x, key: {"key": "value"}.get(key)


def value(text: str) -> Any:
    return compile_tree(parse(text), Fixed())(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code == 404", True),
        ("map.key", "value"),
        ("map['key'].startsWith('va')", True),
        ("map['nosuch']", None),
        ("map['nosuch'] == 'x'", None),
        ("!(map['nosuch'] == 'x')", None),
        ("'key' in map && !('nosuch' in map)", True),
        ("has(map.key)", True),
        # What has no value decides nothing, on either side.
        ("absent && no", False),
        ("no && absent", False),
        ("absent && yes", None),
        ("yes && absent", None),
        ("absent || yes", True),
        ("yes || absent", True),
        ("absent || no", None),
        ("no || absent", None),
        ("no || no", False),
        ("absent ? 1 : 2", None),
        ("no ? absent : 2", 2),
        ("text.matches('ev.e')", True),
        ("text.matches('^ev')", False),
        ("size(text)", 7),
        ("[1, 2].size()", 2),
        ("code in [403, 404]", True),
        ("string(code) + '!'", "404!"),
        ("string(yes)", "true"),
        ("string(half)", "0.5"),
        ("int('12')", 12),
        ("int('x')", None),
        ("int(half)", 0),
        ("duration('1m') > duration('59s')", True),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)
