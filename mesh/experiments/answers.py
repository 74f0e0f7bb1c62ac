"""What a comparer has found in the answers of two versions: its report, read. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

REPORT_PATH: Final = "/.mesh/shadow"  # of a comparer's server; no request of a mirror leads there
MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Answers:
    """How many were compared, and what differs beyond noise, the surest first."""

    compared: int
    differences: tuple[str, ...]

    @classmethod
    def decode(cls, text: str) -> Answers:
        """ValueError for what is no report."""
        try:
            data = json.loads(text)
            rows = [(str(row["field"]), int(row["differed"]), int(row["noise"])) for row in data["differences"]]
            compared = int(data["compared"])
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no report of a comparer: {error!r}") from error
        return cls(compared, tuple(f"{name} in {differed}, by noise {noise}" for name, differed, noise in rows))

    def sentence(self) -> str:
        """What differs, or an empty string."""
        if not self.differences:
            return ""
        more = len(self.differences) - MOST_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return f"answers differ, of {self.compared}: {'; '.join(self.differences[:MOST_SHOWN])}{rest}"
