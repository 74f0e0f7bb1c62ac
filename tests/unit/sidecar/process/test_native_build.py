from __future__ import annotations

from sidecar.process.native_build import with_notes, without_slots

SOURCE = '''
class Plain:
    """Doc."""

    __slots__ = (
        "one",
        "two",
    )

    def __init__(self) -> None:
        self.one = 1


class Only:
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Data:
    x: int
'''


def test_slots_are_left_out_and_lines_keep_their_numbers() -> None:
    bare = without_slots(SOURCE)
    assert "slots" not in bare
    assert "@dataclass(frozen=True)" in bare
    before, after = SOURCE.splitlines(), bare.splitlines()
    assert len(before) == len(after)
    assert before.index("        self.one = 1") == after.index("        self.one = 1")
    compile(bare, "bare", "exec")


def test_annotations_of_groups_become_data() -> None:
    noted = with_notes("@dataclass(slots=True)\nclass ClusterStats(Group):\n    prefix = 'cluster'\n    a: Counter\n")
    assert "@dataclass" not in noted
    assert noted.endswith("COMPILED_NOTES.update({'ClusterStats': {'a': 'Counter'}})\n")
