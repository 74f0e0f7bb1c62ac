from __future__ import annotations

import pytest

from sidecar.admin.views import QueryError, compile_filter


def test_an_expression_matches_anywhere() -> None:
    matches = compile_filter("b+c|^x")
    assert matches("abbc")
    assert matches("xyz")
    assert not matches("yx")


@pytest.mark.parametrize("bad", ["[", "(?<name>x", "a**b)", "*"])
def test_a_bad_expression_is_refused_with_its_reason(bad: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(QueryError, match="Invalid re2 regex: "):
        compile_filter(bad)
    assert capfd.readouterr().err == ""
