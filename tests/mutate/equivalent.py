"""Mutants that change nothing that can be seen, each kind with its reason."""

from __future__ import annotations

import re

from tests.mutate.mutants import Mutant

# (file, function, kind, source before the change), as regular expressions → why it makes no difference.
EQUIVALENT: tuple[tuple[str, str, str, str, str], ...] = (
    (
        r"",
        r"",
        r"another constant",
        r"^'(previous priorities|resent)'$",
        "a name under which a value is kept and found",
    ),
    (r"", r"", r"left out", r"^self\._timer = None$", "a timer that has run can be cancelled"),
    (
        r"timeouts",
        r"_set_deadline",
        r"operand 1",
        r"^idle and",
        "the deadline is looked at more often, and not yet reached",
    ),
    (r"response", r"_finish_head", r"operand 2", r"response_ops$", "a loop over nothing"),
    (r"stream", r"_may_upgrade", r"another constant", r"^b''$", "a default in which only `upgrade` is looked for"),
    (r"table", r"CompiledRoute", r"left out", r"high_priority = False", "only routes that forward are asked for it"),
    (r"elaborate", r"_attempt", r"operand 1", r"^not mirrors or", "without mirrors none is made: only sooner known"),
    (r"upstream/host", r"__init__", r"", r"(ejection_jitter|^0\.0$)", "set anew at each ejection, before it is read"),
)
_COMPILED = [(tuple(re.compile(part) for part in row[:4]), row[4]) for row in EQUIVALENT]


def reason_of(mutant: Mutant) -> str:
    """Why it is equivalent, empty when it is not."""
    facts = (mutant.file, mutant.qualname, mutant.kind, mutant.text)
    for patterns, reason in _COMPILED:
        if all(pattern.search(fact) for pattern, fact in zip(patterns, facts, strict=True)):
            return reason
    return ""
