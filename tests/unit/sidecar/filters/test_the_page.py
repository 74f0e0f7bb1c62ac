"""docs/filters.md: the filter that it shows is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sidecar.filters import NO_STEPS, Filter, Reply, Wait
from tests.unit.sidecar.filters.support import Bench, answered, asked, exchange

PAGE = Path(__file__).parents[4] / "docs" / "filters.md"


def shown() -> dict[str, Any]:
    """The names that the page's code defines."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs_filters"}
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), names)
    return names


def test_the_filter_of_the_page_decides(monkeypatch: Any) -> None:
    import sys
    import types

    module = types.ModuleType("docs_filters")  # where dataclasses look their annotations up
    monkeypatch.setitem(sys.modules, "docs_filters", module)
    names = shown()
    config = names["ApiKey"](b"x-key", frozenset((b"a", b"b")))
    bench = Bench()
    made: Filter = names["ApiKeyFilter"](config, bench.context())
    steps = made.bind((), None)
    refusal = asked(steps, exchange())
    assert isinstance(refusal, Reply)
    assert (refusal.status, refusal.detail) == (401, "api_key_missing")
    assert bench.count("http.api_key.denied") == 1
    good = exchange([(b"x-key", b"b")])
    assert asked(steps, good) is None
    assert answered(steps, good) == [(b"x-api-key-seen", b"yes")]
    assert answered(steps, exchange()) == []
    assert made.bind((names["ApiKey"](b"x-key", frozenset()),), None) is NO_STEPS


def test_the_page_names_every_decision() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for decision in ("Reply", "Delay", "Hold", "Encode", Wait.__name__):
        assert f"| `{decision}(" in text
