"""Which redirects are followed, as configured."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import Forward, InternalRedirects
from tests.unit.sidecar.config.build import Data, T, parts, problems, route_of

KIND = T + "envoy.extensions.internal_redirect."


def predicate(kind: str, **fields: Any) -> Data:
    return {"name": "p", "typed_config": {"@type": KIND + kind, **fields}}


def redirects_of(**fields: Any) -> InternalRedirects | None:
    given = parts()
    given.action["internal_redirect_policy"] = fields
    action = route_of(given).action
    assert isinstance(action, Forward)
    return action.redirects


def wrong(**fields: Any) -> list[str]:
    given = parts()
    given.action["internal_redirect_policy"] = fields
    return problems(given)


def test_everything() -> None:
    assert redirects_of(
        max_internal_redirects=5,
        redirect_response_codes=[301, 303],
        predicates=[
            predicate("allow_listed_routes.v3.AllowListedRoutesConfig", allowed_route_names=["a", "b"]),
            predicate("allow_listed_routes.v3.AllowListedRoutesConfig", allowed_route_names=["b", "c"]),
            predicate("previous_routes.v3.PreviousRoutesConfig"),
            predicate("safe_cross_scheme.v3.SafeCrossSchemeConfig"),
        ],
        allow_cross_scheme_redirect=True,
        response_headers_to_copy=["X-A"],
    ) == InternalRedirects(5, frozenset((301, 303)), frozenset("b"), True, True, True, (b"x-a",))


def test_nothing() -> None:
    assert redirects_of() == InternalRedirects()
    action = route_of(parts()).action
    assert isinstance(action, Forward)
    assert action.redirects is None


def test_what_cannot_be() -> None:
    assert wrong(redirect_response_codes=[302, 200]) == ["redirect_response_codes: 200: not a redirect's status"]
    (says,) = wrong(response_headers_to_copy=["Host"])
    assert says == "response_headers_to_copy: 'host': host and names with a colon cannot be copied"
    says = wrong(
        predicates=[{"name": "mine", "typed_config": {"@type": T + "envoy.extensions.filters.http.router.v3.Router"}}]
    )
    assert any("is not an implemented internal redirect predicate" in each for each in says)
