"""The page of the API's fields and what shows each of them: `python -m tests.simulation.field_page` writes it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from mesh.istio.kinds import KINDS
from mesh.istio.refused import REFUSED
from tests.simulation.effects import Effect, by_name, search
from tests.simulation.elsewhere import shown_by
from tests.simulation.fields import Field, all_fields, no_effect

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "istio-api-cases.md"
WIDTH: Final = 120
NOTHING: Final = "nothing yet"

HEAD: Final = """# What shows each field

Every field of [istio-api.md](istio-api.md) that is taken has a *case* that shows it: a few documents and a call, of
`tests/simulation/cases`. A case shows a field if proxies are told something else once the field is taken away from its
documents; where the API wants the field to be there, once it says something else. The same holds of each named value.
The cases are evaluated on paper, and called through our sidecar and gateway and through a real Envoy in each of these
places, which have it all from one control plane: both have to do what the case says, and nobody may reject anything.

{counts}
"""


class Row(NamedTuple):
    """What the page says of a field: the name of a case with where it shows, else of a test, else why there is none."""

    field: Field
    case: str = ""
    effect: Effect = Effect.PROXIES
    test: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.case:
            said = f"case “{self.case}”" + (f" ({self.effect.value})" if self.effect.value else "")
        else:
            said = f"`{self.test}`" if self.test else self.reason or NOTHING
        return f"| {self.field.message} | `{self.field}` | {said} |"


def found_rows() -> list[Row]:
    """By a search of all cases, which takes a while."""
    found = search()
    return [row_of(field, found) for kind in KINDS for field in all_fields(kind)]


def row_of(field: Field, found: Mapping[Field, tuple[str, Effect]]) -> Row:
    if field in found:
        return Row(field, *found[field])
    if reason := no_effect(field):
        return Row(field, reason=f"no effect: {reason}")
    return Row(field, test=shown_by(field))


def page(rows: list[Row]) -> str:
    lines = [HEAD.format(counts=counts(rows))]
    for kind in KINDS:
        lines += [f"## {kind}\n", "| Message | Field | Shown by |", "|---|---|---|"]
        lines += [str(row) for row in rows if row.field.kind == kind]
        lines.append("")
    return "\n".join(lines)


def counts(rows: list[Row]) -> str:
    by_case = sum(bool(row.case) for row in rows)
    by_test = sum(bool(row.test) for row in rows)
    without = sum(bool(row.reason) for row in rows)
    refused = sum(map(len, REFUSED.values()))
    said = (
        f"What acts elsewhere names its test. There are {len(by_name())} cases. Of {len(rows)} fields and named values, as "
        f"each kind has them, {by_case} are shown by a case and {by_test} by a test; {without} have no effect, for the "
        f"reason that is given; {refused} more are refused by their names. This page is written by `make docs`."
    )
    return textwrap.fill(said, WIDTH)


def read_rows(text: str) -> Iterator[Row]:
    """The rows of the page as it is."""
    kind = ""
    for line in text.splitlines():
        if line.startswith("## "):
            kind = line[3:]
        elif line.startswith("| ") and not line.startswith("| Message |"):
            message, name, said = line[2:-2].split(" | ", 2)
            name, _, value = name.strip("`").partition(": ")
            yield _row(Field(kind, message, name, value), said)


def _row(field: Field, said: str) -> Row:
    if said.startswith("case “"):
        case, _, where = said[6:].partition("”")
        return Row(field, case, Effect(where[2:-1]))
    if said.startswith("`tests/"):
        return Row(field, test=said.strip("`"))
    return Row(field, reason="" if said == NOTHING else said)


if __name__ == "__main__":
    found = found_rows()
    PAGE.write_text(page(found), encoding="utf-8")
    for row in found:
        if not (row.case or row.test or row.reason):
            print(f"nothing shows {row.field.kind}: {row.field.message}.{row.field}")
