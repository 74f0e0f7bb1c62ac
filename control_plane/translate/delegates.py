"""Delegation: the rules of a VirtualService without hosts, in the place of the rule that names it.

A delegate's match must be a part of what its root matches; one that is not is dropped, as by Istio. What a delegate's
rule says counts before what the root's says.
https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from mesh.istio.virtual_service import Delegate, HTTPRoute, VirtualService
from mesh.istio.virtual_service_match import HTTPMatchRequest, StringMatch

Find = Callable[[Delegate], VirtualService | None]

_INHERITED: Final = (
    "rewrite",
    "direct_response",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirror_percent",
    "mirror_percent_snake",
    "mirror_percentage",
    "cors_policy",
)
_TEXTS: Final = ("uri", "scheme", "method", "authority")
_MAPPINGS: Final = ("headers", "without_headers", "query_params")


def with_delegates(spec: VirtualService, find: Find) -> VirtualService:
    """A VirtualService with its delegates' rules in it. A delegate that is not there has none."""
    if not any(rule.delegate is not None for rule in spec.http):
        return spec
    return spec.model_copy(update={"http": tuple(each for rule in spec.http for each in _rules(rule, find))})


def _rules(rule: HTTPRoute, find: Find) -> Iterator[HTTPRoute]:
    if rule.delegate is None:
        yield rule
        return
    found = find(rule.delegate)
    for other in found.http if found is not None else ():
        matches = _matches(rule.match, other.match)
        if matches is not None:
            yield _merged(rule, other, matches)


def _merged(root: HTTPRoute, rule: HTTPRoute, matches: tuple[HTTPMatchRequest, ...]) -> HTTPRoute:
    changed: dict[str, Any] = {"match": matches, "name": _joined(root.name, rule.name)}
    for field in _INHERITED:
        if getattr(rule, field) is None:
            changed[field] = getattr(root, field)
    changed["mirrors"] = rule.mirrors or root.mirrors
    if "headers" not in rule.model_fields_set:
        changed["headers"] = root.headers
    return rule.model_copy(update=changed)


def _joined(root: str, name: str) -> str:
    return f"{root}-{name}" if root and name else root or name


def _matches(
    root: tuple[HTTPMatchRequest, ...], rule: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """What both match, None where the rule asks for something that the root never lets through."""
    if not root or not rule:
        return root or rule
    found = []
    for match in rule:
        fitting = [_both(over, match) for over in root if not _conflict(over, match)]
        if not fitting:
            return None
        found += fitting
    return tuple(found)


def _both(root: HTTPMatchRequest, match: HTTPMatchRequest) -> HTTPMatchRequest:
    changed: dict[str, Any] = {"name": _joined(root.name, match.name)}
    for field in (*_TEXTS, "port"):
        if getattr(match, field) is None:
            changed[field] = getattr(root, field)
    for field in (*_MAPPINGS, "source_labels"):
        changed[field] = {**getattr(root, field), **getattr(match, field)}
    changed["gateways"] = match.gateways or root.gateways
    changed["source_namespace"] = match.source_namespace or root.source_namespace
    changed["stat_prefix"] = match.stat_prefix or root.stat_prefix
    return match.model_copy(update=changed)


def _conflict(root: HTTPMatchRequest, match: HTTPMatchRequest) -> bool:
    if any(_texts_conflict(getattr(root, field), getattr(match, field)) for field in _TEXTS):
        return True
    for field in _MAPPINGS:
        over = getattr(root, field)
        if any(_texts_conflict(over.get(name), each) for name, each in getattr(match, field).items()):
            return True
    if root.ignore_uri_case != match.ignore_uri_case or (root.port and match.port and root.port != match.port):
        return True
    if root.source_namespace and match.source_namespace != root.source_namespace:
        return True
    if any(root.source_labels.get(name, value) != value for name, value in match.source_labels.items()):
        return True
    return bool(root.gateways) and not set(match.gateways) <= set(root.gateways)


def _texts_conflict(root: StringMatch | None, match: StringMatch | None) -> bool:
    """Whether not every text that `match` takes is one that `root` takes, as far as Istio looks into it."""
    if root is None or match is None or root.empty:
        return False
    if root.regex is not None or match.regex is not None:
        return True
    if root.exact is not None:
        return match.exact != root.exact
    narrower = match.prefix if match.prefix is not None else match.exact
    return narrower is None or not narrower.startswith(root.prefix or "")
