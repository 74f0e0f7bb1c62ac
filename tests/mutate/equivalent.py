"""Mutants that change nothing that can be seen, each kind with its reason."""

from __future__ import annotations

import re

from tests.mutate.mutants import Mutant

# (file, function, kind, source before the change), as regular expressions → why it makes no difference.
EQUIVALENT: tuple[tuple[str, str, str, str, str], ...] = ()
_COMPILED = [(*(re.compile(part) for part in row[:4]), row[4]) for row in EQUIVALENT]


def reason_of(mutant: Mutant) -> str:
    """Why it is equivalent, empty when it is not."""
    facts = (mutant.file, mutant.qualname, mutant.kind, mutant.text)
    for *patterns, reason in _COMPILED:
        if all(pattern.search(fact) for pattern, fact in zip(patterns, facts, strict=True)):  # type: ignore[union-attr]
            return str(reason)
    return ""
