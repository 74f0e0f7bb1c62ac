"""What the prose of the sources refers to is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import sidecar

ROOT = Path(sidecar.__file__).parent
REFERENCE = re.compile(r"`(sidecar(?:\.\w+)+)`")


def there(name: str) -> bool:
    """Whether it is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.fault(42)
def test_docstrings_name_what_there_is() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted(ROOT.rglob("*.py"))
        for name in REFERENCE.findall(path.read_text(encoding="utf-8"))
    }
    assert named
    assert [(path, name) for path, name in sorted(named) if not there(name)] == []
