"""The kinds that `mesh get` and its like know, with kubectl's ways of naming them."""

from __future__ import annotations

import difflib

from mesh.cli.errors import USAGE, CliError
from mesh.istio.kinds import KINDS

ALL = "all"

# Every word that means a kind.
NAMES = {word: kind.name for kind in KINDS.values() for word in (kind.name.lower(), kind.plural, *kind.short)}


def parse_kind(text: str) -> str:
    """The kind that `text` names; "" for `all`."""
    word = text.lower().partition(".")[0]  # virtualservices.networking.istio.io
    if word == ALL:
        return ""
    if word in NAMES:
        return NAMES[word]
    near = difflib.get_close_matches(word, NAMES, n=1)
    hints = [f"did you mean {near[0]}?"] if near else []
    known = ", ".join(f"{kind.name.lower()} ({', '.join(kind.short)})" for kind in KINDS.values() if kind.short)
    raise CliError(f"unknown kind {text!r}", *hints, f"known: {known}, all", code=USAGE)


def parse_target(words: list[str]) -> tuple[str, str]:
    """`vs reviews`, `vs/reviews` or `vs` → (kind, name); the name may be missing ("")."""
    if len(words) == 1 and "/" in words[0]:
        words = words[0].split("/", 1)
    if len(words) > 2:
        raise CliError(f"expected KIND NAME or KIND/NAME, got: {' '.join(words)}", code=USAGE)
    return parse_kind(words[0]), words[1] if len(words) == 2 else ""
