"""Why mutants that no test notices are left alone: the committed `reasons.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.mutate.mutants import Mutant

REASONS = Path(__file__).with_name("reasons.toml")
_Table = dict[str, dict[str, dict[str, str]]]


class Reasons:
    """`equivalent` mutants change nothing that can be seen; `accepted` ones do, and no test is worth its while."""

    def __init__(self, text: str) -> None:
        whole: dict[str, _Table] = tomllib.loads(text)
        self._equivalent = whole.get("equivalent", {})
        self._accepted = whole.get("accepted", {})

    def equivalent(self, mutant: Mutant) -> str:
        """Why it is equivalent; empty when it is not."""
        return _find(self._equivalent, mutant)

    def accepted(self, mutant: Mutant) -> str:
        return _find(self._accepted, mutant)

    def stale(self, known: Iterable[Mutant]) -> Iterator[str]:
        """What it names and the source no longer has."""
        there = {(mutant.file, mutant.qualname or "module", mutant.change) for mutant in known}
        for table in (self._equivalent, self._accepted):
            for file, functions in table.items():
                for function, changes in functions.items():
                    yield from (
                        f"{file} {function}: {change}" for change in changes if (file, function, change) not in there
                    )


def _find(table: _Table, mutant: Mutant) -> str:
    return table.get(mutant.file, {}).get(mutant.qualname or "module", {}).get(mutant.change, "")
