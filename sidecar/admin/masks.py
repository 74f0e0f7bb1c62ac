"""`mask=` of /config_dump: a FieldMask over messages that are JSON already. Pure."""

from __future__ import annotations

from typing import Any, cast

Tree = dict[str, Any]  # a field's name → what is wanted of it; empty: all


def parse(mask: str) -> Tree:
    """`a.b,c` as a tree."""
    wanted: Tree = {}
    for path in mask.split(","):
        level = wanted
        parts = path.strip().split(".")
        for part in parts[:-1]:
            level = level.setdefault(part, {})
        level[parts[-1]] = {}
    return wanted


def masked(message: dict[str, Any], wanted: Tree) -> dict[str, Any]:
    """The wanted fields of a message and, when something is left, its type. Lists are taken as a whole, as FieldMasks
    do."""
    found: dict[str, Any] = {}
    for name, below in wanted.items():
        value = message.get(name)
        if value is None:
            continue
        if below:
            value = masked(cast(dict[str, Any], value), below) if isinstance(value, dict) else None
        if value or not below:
            found[name] = value
    if found and "@type" in message:
        found = {"@type": message["@type"], **found}
    return {name: value for name, value in found.items() if value is not None}
