"""Several files as one change: whatever moment the process dies at, the next one finds all of them changed or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from control_plane.sources import intent

BEFORE = {"a.yaml": "old a\n", "b.yaml": "old b\n", "new.yaml": None}
AFTER = {"a.yaml": "new a\n", "b.yaml": None, "new.yaml": "new\n"}


class Died(BaseException):
    """The process is gone: nothing that it has yet to do is done."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".mesh").mkdir()
    for name, text in BEFORE.items():
        if text is not None:
            (tmp_path / name).write_text(text)
    return tmp_path


def texts(root: Path) -> dict[str, str | None]:
    return {name: intent.text_of(root / name) for name in BEFORE}


def test_all_are_written(root: Path) -> None:
    intent.write(root, root / ".mesh", AFTER)
    assert texts(root) == AFTER
    assert list((root / ".mesh").iterdir()) == []


@pytest.mark.fault(12)
@pytest.mark.parametrize("steps", range(5))
def test_a_death_at_any_step_leaves_all_or_nothing(root: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = intent._put, [steps]

    def put(path: Path, text: str | None) -> None:
        if not left[0]:
            path.with_name(f".{path.name}.0123abcd.tmp").write_text("half of i")
            raise Died
        left[0] -= 1
        real(path, text)

    monkeypatch.setattr(intent, "_put", put)
    monkeypatch.setattr(intent, "_forget", lambda _path: None)
    if steps < 4:
        with pytest.raises(Died):
            intent.write(root, root / ".mesh", AFTER)
    else:
        intent.write(root, root / ".mesh", AFTER)
    monkeypatch.undo()
    intent.finish(root, root / ".mesh")
    assert texts(root) == (AFTER if steps else BEFORE)
    assert not [path for path in root.rglob("*") if path.name.endswith(".tmp")]
    assert list((root / ".mesh").iterdir()) == []


@pytest.mark.fault(12)
def test_what_somebody_else_changed_meanwhile_stays(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    planned = {name: {"before": BEFORE[name], "after": AFTER[name]} for name in BEFORE}
    (root / ".mesh" / intent.FILE).write_text(json.dumps(planned))
    (root / "a.yaml").write_text("theirs\n")
    intent.finish(root, root / ".mesh")
    assert texts(root) == {**AFTER, "a.yaml": "theirs\n"}
    assert "a.yaml: changed by somebody else" in caplog.text


def test_an_intent_that_cannot_be_read_is_left_out(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / ".mesh" / intent.FILE).write_text("[1]")
    intent.finish(root, root / ".mesh")
    assert texts(root) == BEFORE
    assert "cannot be read" in caplog.text


def test_an_error_puts_everything_back(root: Path) -> None:
    (root / "blocked.yaml").mkdir()
    (root / "blocked.yaml" / "in the way").write_text("")
    with pytest.raises(OSError, match="folder"):
        intent.write(root, root / ".mesh", {**AFTER, "blocked.yaml": "x"})
    assert texts(root) == BEFORE
    assert list((root / ".mesh").iterdir()) == []
