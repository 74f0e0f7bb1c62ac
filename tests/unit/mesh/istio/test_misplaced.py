"""Fields that are known, but not where they are written."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from mesh.istio.misplaced import belongs, in_section


class Leaf(BaseModel):
    port_number: int = Field(0, alias="portNumber")


class Twig(BaseModel):
    leaf: Leaf | None = None
    weight: int = 0


class Bough(BaseModel):
    leaf: tuple[Leaf, ...] = ()
    host: str = ""


class Tree(BaseModel):
    twigs: tuple[Twig, ...] = ()
    boughs: dict[str, Bough] = {}
    name: str = ""


EVERY = (Leaf, Twig, Bough, Tree)


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("host", Tree, "; it belongs in boughs"),
        ("leaf", Tree, "; it belongs in twigs or boughs"),
        ("portNumber", Twig, "; it belongs in leaf"),
        ("weight", Leaf, "; it belongs one level up, beside leaf"),
        ("name", Twig, "; it belongs one level up, beside twigs"),
        ("name", Leaf, ""),  # two levels up
        ("colour", Tree, ""),
    ],
)
def test_where_it_belongs(name: str, model: type[BaseModel], said: str) -> None:
    assert belongs(name, model, EVERY) == said


def test_sections_of_a_document() -> None:
    sections = {"spec": Tree, "metadata": Leaf}
    assert in_section("twigs", sections) == "; it belongs in spec"
    assert in_section("portNumber", sections) == "; it belongs in metadata"
    assert in_section("other", sections) == ""
