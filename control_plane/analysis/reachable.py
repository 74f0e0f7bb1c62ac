"""Rules of VirtualServices that never act: those after one that takes everything, and matches that an earlier one covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from control_plane.analysis.codes import INEFFECTIVE_MATCH, UNREACHABLE_RULE
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.match import is_catch_all, route_match
from mesh.istio.model import Path
from mesh.istio.resource import Resource
from mesh.istio.virtual_service import HTTPMatchRequest, HTTPRoute

SECTIONS: Final = ("http", "tls", "tcp")


def unreachable(seen: Examined) -> Iterator[Finding]:
    for resource in seen.of("VirtualService"):
        for section in SECTIONS:
            yield from _of(resource, section, getattr(resource.spec, section))


def _of(resource: Resource, section: str, rules: Sequence[Any]) -> Iterator[Finding]:
    taken = -1
    earlier = _Earlier()
    for number, rule in enumerate(rules):
        path: Path = ("spec", section, number)
        if taken >= 0:
            reason = f"an earlier rule, {_name(rules, taken)}, has no conditions and takes every request"
            yield _not_used(resource, path, _name(rules, number), reason)
            continue
        if rule.match and all(map(earlier.has, rule.match)):
            yield _not_used(resource, path, _name(rules, number), "all matches are duplicates of earlier ones")
        for position, match in enumerate(rule.match):
            if (by := earlier.covering(match)) is not None:
                message = (
                    f"VirtualService rule {_name(rules, number)} match #{position} is not used "
                    f"(duplicate/overlapping match in rule {_name(rules, by)})."
                )
                yield finding(INEFFECTIVE_MATCH, resource, (*path, "match", position), message)
            earlier.add(match, number)
        if _takes_everything(rule):
            taken = number


class _Earlier:
    """The matches so far, each with the first rule that asks for it."""

    def __init__(self) -> None:
        self._whole: dict[str, int] = {}
        self._prefixes: dict[str, dict[str, int]] = {}  # by what is asked for beside the path

    def add(self, match: Any, rule: int) -> None:
        self._whole.setdefault(_conditions(match), rule)
        if _path(match) is not None and match.uri.prefix is not None:
            self._prefixes.setdefault(_beside(match), {}).setdefault(match.uri.prefix, rule)

    def has(self, match: Any) -> bool:
        return _conditions(match) in self._whole

    def covering(self, match: Any) -> int | None:
        """The rule that has taken everything that the match would: by the same conditions, or by a shorter prefix."""
        if (same := self._whole.get(_conditions(match))) is not None:
            return same
        path = _path(match)
        if path is None:
            return None
        known = (self._prefixes.get(key, {}) for key in (_beside(match), _beside(match, any_method=True)))
        return next((rule for each in known for prefix, rule in each.items() if path.startswith(prefix)), None)


def _conditions(match: Any) -> str:
    text: str = match.model_dump_json(exclude={"name"}, exclude_defaults=True)
    return text


def _path(match: Any) -> str | None:
    """The path, or the prefix of paths, that a match asks for. Everything (`/`) is none: that is said of whole rules."""
    uri = match.uri if isinstance(match, HTTPMatchRequest) and not match.ignore_uri_case else None
    path = uri.prefix or uri.exact if uri is not None else None
    return path if path != "/" else None


def _beside(match: HTTPMatchRequest, *, any_method: bool = False) -> str:
    left_out = {"name", "uri", "method"} if any_method else {"name", "uri"}
    return match.model_dump_json(exclude=left_out, exclude_defaults=True)


def _not_used(resource: Resource, path: Path, name: str, reason: str) -> Finding:
    return finding(UNREACHABLE_RULE, resource, path, f"VirtualService rule {name} not used ({reason}).")


def _name(rules: Sequence[Any], number: int) -> str:
    name = getattr(rules[number], "name", "")
    return f'"{name}"' if name else f"#{number}"


def _takes_everything(rule: Any) -> bool:
    """Whoever asks, on whatever port, through whatever gateway."""
    if not isinstance(rule, HTTPRoute):
        return not rule.match
    return not rule.match or any(
        is_catch_all(route_match(match))
        and not (match.gateways or match.source_labels or match.source_namespace or match.port)
        for match in rule.match
    )
