"""A HeaderMutation, wherever one may stand."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import header_add, string_matcher
from sidecar.config.model import HeaderMutation, RemoveMatching
from sidecar.config.reader import Reader

_ACTIONS: Final = ("append", "remove", "remove_on_match")


def header_mutation(reader: Reader, fixed: frozenset[bytes]) -> HeaderMutation:
    """A HeaderMutation; changing the `fixed` fields, which the proxy itself writes, would change nothing here."""
    kind = reader.one_of(*_ACTIONS)
    mutation: HeaderMutation = b""
    name = b""
    if kind == "remove":
        mutation = name = reader.text(kind).lower().encode("latin-1", "replace")
        if name.startswith(b":"):
            reader.problem("names with a colon cannot be removed", kind)
    elif kind == "remove_on_match":
        child = reader.child(kind)
        matcher = child.child("key_matcher") if child is not None else None
        if matcher is not None:
            mutation = RemoveMatching(string_matcher(matcher))
    elif (child := reader.child("append")) is not None:
        mutation = header_add(child)
        name = mutation.name
    if name in fixed:
        reader.problem(f"changing {name.decode()} is not implemented", kind)
    return mutation
