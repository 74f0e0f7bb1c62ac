"""Columns of any texts fit any width that is not absurd, and every letter is there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.table import cells, folded, layout, without

TEXTS = st.text(st.sampled_from("ab.,/|: "), max_size=60).map(str.strip)


@given(TEXTS, st.integers(1, 40))
def test_a_folded_text_is_whole_and_fits(text: str, width: int) -> None:
    lines = folded(text, width)
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=5), st.integers(20, 120))
def test_a_table_is_as_wide_as_it_may_be(rows: list[list[str]], width: int) -> None:
    headings = ["NAME", "ADDRESS", "X"]
    plan = layout(headings, rows, width)
    if not plan.widths:
        assert width < 3 * 12 + 2 * 2, "columns that can be folded that far always fit"
        return
    assert sum(plan.widths) + plan.gap * 2 <= width
    for row in rows:
        for line in cells(row, plan.widths):
            assert [len(cell) <= size for cell, size in zip(line, plan.widths, strict=True)] == [True] * 3


def test_a_name_is_folded_where_a_reader_would() -> None:
    assert folded("outbound|9080|v1|reviews.default.svc", 20) == ["outbound|9080|v1|", "reviews.default.svc"]


RESOURCES = ["KIND", "NAME", "SUMMARY", "AGE"]
RULE = ["DestinationRule", "bookinfo-gateway", "details subsets v1, v2, v3 and many more of them", "6m"]


def test_words_are_broken_last() -> None:
    """Columns of prose give way before names do."""
    widths = layout(RESOURCES, [RULE], 60).widths
    assert widths[:2] == (15, 16) and sum(widths) + 2 * 3 == 60
    assert layout(RESOURCES, [RULE], 45).widths[0] < 15


def test_what_can_be_done_without_is_left_out_before_words_are_broken() -> None:
    assert without(RESOURCES, ["AGE"], [RULE], 60) == [0, 1, 2, 3]
    assert without(RESOURCES, ["AGE"], [RULE], 50) == [0, 1, 2]
    assert without(RESOURCES, ["AGE", "SUMMARY"], [RULE], 50) == [0, 1, 3]
    assert without(RESOURCES, [], [RULE], 10) == [0, 1, 2, 3]
