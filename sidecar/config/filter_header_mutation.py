"""envoy.filters.http.header_mutation: changes of request and response headers."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import header_add, string_matcher
from sidecar.config.filter_model import HeaderMutations
from sidecar.config.model import HeaderMutation, RemoveMatching
from sidecar.config.reader import Reader
from sidecar.http.head import HOP_HEADERS, RESPONSE_HOP_HEADERS

_RESPONSE_FIXED: Final = RESPONSE_HOP_HEADERS - {b"x-envoy-upstream-service-time"}
_ACTIONS: Final = ("append", "remove", "remove_on_match")


def compile(reader: Reader) -> HeaderMutations:
    return _mutations(reader.child("mutations"), specific_last=reader.flag("most_specific_header_mutations_wins"))


def compile_route(reader: Reader) -> HeaderMutations:
    return _mutations(reader.child("mutations"))


def _mutations(reader: Reader | None, *, specific_last: bool = False) -> HeaderMutations:
    if reader is None:
        return HeaderMutations(specific_last=specific_last)
    request = tuple(header_mutation(each, HOP_HEADERS) for each in reader.children("request_mutations"))
    response = tuple(header_mutation(each, _RESPONSE_FIXED) for each in reader.children("response_mutations"))
    return HeaderMutations(request, response, specific_last)


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
