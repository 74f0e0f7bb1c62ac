"""`-f FILE|DIR|-`: what to send to the control plane."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mesh.cli.errors import USAGE, CliError

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"


def read_files(names: Sequence[str], recursive: bool = False) -> list[dict[str, str]]:
    """The files' names and texts, in the order given; those of a folder by name."""
    if not names:
        raise CliError("what shall be read? Name a file, a folder or - with -f", code=USAGE)
    found: list[dict[str, str]] = []
    for name in names:
        if name == STDIN:
            found.append({"name": "stdin", "text": sys.stdin.read()})
            continue
        path = Path(name)
        found += [_read(file) for file in (_listing(path, recursive) if path.is_dir() else [path])]
    return found


def _listing(folder: Path, recursive: bool) -> list[Path]:
    files = sorted(p for p in folder.glob("**/*" if recursive else "*") if p.suffix in SUFFIXES and p.is_file())
    if not files:
        raise CliError(f"{folder} has no {', '.join(SUFFIXES)} files", "-R looks into the folders below it")
    return files


def _read(path: Path) -> dict[str, str]:
    try:
        return {"name": str(path), "text": path.read_text(encoding="utf-8")}
    except UnicodeDecodeError as error:
        raise CliError(f"{path} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from error
