"""Where ours is meant to differ from Envoy, and why. Each is asserted to be still different: the list stays true."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """`paths` are exactly the paths of `observe` that differ in the case."""

    case: str
    paths: tuple[str, ...]
    reason: str


DIFFERENCES: tuple[Difference, ...] = ()
BY_CASE = {difference.case: difference for difference in DIFFERENCES}
