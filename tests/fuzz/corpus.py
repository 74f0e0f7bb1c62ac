"""The inputs that are kept: a file each, its bytes as they go over the wire."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.fuzz.engine import Input, Side

FOLDER = Path(__file__).parent / "corpus"
SIDES: tuple[Side, ...] = ("requests", "responses")


def load(side: Side) -> dict[str, bytes]:
    """File name → bytes."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / side).glob("*.http"))}


def keep(given: Input) -> Path:
    """Writes an input that broke a rule; the same bytes get the same name."""
    name = hashlib.sha256(given.data).hexdigest()[:12]
    path = FOLDER / given.side / f"broke-{name}.http"
    path.write_bytes(given.data)
    return path
