"""internal_redirect_policy → which redirects are followed here."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import typed
from sidecar.config.model import InternalRedirects
from sidecar.config.reader import Reader

_TYPES: Final = "envoy.extensions.internal_redirect."
_ALLOW_LISTED: Final = _TYPES + "allow_listed_routes.v3.AllowListedRoutesConfig"
_PREVIOUS: Final = _TYPES + "previous_routes.v3.PreviousRoutesConfig"
_SAFE_SCHEME: Final = _TYPES + "safe_cross_scheme.v3.SafeCrossSchemeConfig"
_PREDICATES: Final = dict.fromkeys((_ALLOW_LISTED, _PREVIOUS, _SAFE_SCHEME))
_CODES: Final = frozenset((301, 302, 303, 307, 308))
_DEFAULT: Final = frozenset((302,))


def internal_redirects(reader: Reader | None) -> InternalRedirects | None:
    if reader is None:
        return None
    codes = frozenset(reader.values("redirect_response_codes"))
    if unknown := sorted(codes - _CODES):
        reader.problem(f"{', '.join(map(str, unknown))}: not a redirect's status", "redirect_response_codes")
    allowed: frozenset[str] | None = None
    kinds = set()
    for each in reader.children("predicates"):
        kind, config = typed(each, _PREDICATES, "internal redirect predicate")
        kinds.add(kind)
        if kind == _ALLOW_LISTED and config is not None:
            names = frozenset(config.values("allowed_route_names"))
            allowed = names if allowed is None else allowed & names
    return InternalRedirects(
        limit=reader.number("max_internal_redirects", 1),
        codes=codes or _DEFAULT,
        allowed_routes=allowed,
        no_route_twice=_PREVIOUS in kinds,
        safe_scheme=_SAFE_SCHEME in kinds,
        cross_scheme=reader.flag("allow_cross_scheme_redirect"),
        copied_headers=_copied(reader),
    )


def _copied(reader: Reader) -> tuple[bytes, ...]:
    names = [name.lower() for name in reader.values("response_headers_to_copy")]
    for name in names:
        if name == "host" or name.startswith(":"):
            reader.problem(f"{name!r}: host and names with a colon cannot be copied", "response_headers_to_copy")
    return tuple(name.encode("latin-1", "replace") for name in names)
