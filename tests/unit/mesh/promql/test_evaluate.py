from __future__ import annotations

import pytest

from mesh.promql.evaluate import query
from mesh.promql.series import Store, labels_of
from mesh.promql.syntax import PromqlError


@pytest.fixture
def store() -> Store:
    found = Store(keep=600)
    for at in range(0, 60, 5):
        found.scraped("a", at, [(labels_of("served_total", {"pod": pod}), at * 2.0) for pod in ("a", "b")])
    return found


def test_a_number_is_a_vector_of_one_series(store: Store) -> None:
    assert query("1 + 1", store, 0) == {(): 2.0}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("served_total[5m]", "is a range"),
        ("rate(served_total)", "wants a range such as metric[1m]"),
        ("predict_linear(served_total[5m], 60)", "is not supported here"),
        ("served_total + on () served_total", "several series on the side that may have one"),
        ("1 > 2", "wants bool"),
        ("1 and 2", "wants vectors on both sides"),
        ("histogram_quantile(served_total, served_total)", "wants a number, not a vector"),
        ("topk(served_total)", "wants a number first"),
    ],
)
def test_what_has_no_answer_is_refused_with_its_reason(store: Store, text: str, part: str) -> None:
    with pytest.raises(PromqlError, match=part.replace("[", r"\[").replace("(", r"\(")):
        query(text, store, 55)
