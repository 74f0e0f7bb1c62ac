"""What holds for the whole mesh while some cases are called."""

from tests.simulation.cases import Case

CASES: tuple[Case, ...] = ()


def world_text(name: str) -> str:
    return ""
