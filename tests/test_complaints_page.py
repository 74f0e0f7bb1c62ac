"""Every complaint has a test that shows what answers it, and the page says which."""

from __future__ import annotations

from pathlib import Path

from tests.complaints import COUNT, PAGE, answered, filled, numbers

# mTLS: there is nothing to show before zero trust.
NOT_YET = {"07"}


def test_every_complaint_has_its_test() -> None:
    assert {f"{number:02}" for number in range(1, COUNT + 1)} - answered().keys() == NOT_YET


def test_the_page_is_what_the_tests_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert numbers(page) == [f"{number:02}" for number in range(1, COUNT + 1)]
    assert page == filled(page, answered()), "python -m tests.complaints writes it"


def test_names_and_marks_count(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(
        "def test_05_21_both(): ...\n\n@pytest.mark.complaint(1, 19)\nasync def test_c(): ...\n\ndef test_90_10(): ...\n"
    )
    assert answered(tmp_path) == {
        "05": {"test_a.py::test_05_21_both"},
        "21": {"test_a.py::test_05_21_both"},
        "01": {"test_a.py::test_c"},
        "19": {"test_a.py::test_c"},
    }
    page = "| 01 | a | b | - |\n| 07 | c | d | not yet |\n"
    assert filled(page, answered(tmp_path)) == "| 01 | a | b | `test_a.py::test_c` |\n| 07 | c | d | not yet |\n"
