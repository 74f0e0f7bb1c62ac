"""Whether the proxy follows an upstream's redirect by itself (Envoy's internal redirects). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from sidecar.config.model import InternalRedirects

_LOCATION = re.compile(rb"([a-zA-Z][a-zA-Z0-9+.\-]*)://([^/?#]+)([^#]*)")
_SCHEMES = (b"http", b"https")


class Refusal(Enum):
    """Why a redirect goes to the client."""

    BAD_LOCATION = "bad location"
    UNSAFE_SCHEME = "unsafe scheme"
    TOO_MANY = "too many redirects"
    NO_ROUTE = "no route"
    PREDICATE = "predicate"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a redirect leads."""

    scheme: bytes
    authority: bytes
    path: bytes


class Trail:
    """What one request went through: how many redirects, and which routes were entered from which."""

    __slots__ = ("entered", "redirects")

    def __init__(self) -> None:
        self.redirects = 0
        self.entered: set[tuple[str, str]] = set()


def target_of(location: bytes) -> Target | None:
    """An absolute URL, None for anything else. The fragment is the client's matter."""
    match = _LOCATION.match(location)
    if match is None:
        return None
    scheme, authority, path = match[1].lower(), match[2], match[3]
    return Target(scheme, authority, path if path.startswith(b"/") else b"/" + path)


def refused_before(policy: InternalRedirects, scheme: bytes, location: bytes, trail: Trail) -> Refusal | Target:
    """What can be told before there is a route; `scheme` is the request's."""
    target = target_of(location)
    if target is None:
        return Refusal.BAD_LOCATION
    if target.scheme != scheme and not policy.cross_scheme:
        return Refusal.UNSAFE_SCHEME
    if target.scheme not in _SCHEMES:
        return Refusal.BAD_LOCATION
    if trail.redirects >= policy.limit:
        return Refusal.TOO_MANY
    return target


def accepts(policy: InternalRedirects, target: Target, scheme: bytes, names: tuple[str, str], trail: Trail) -> bool:
    """Whether the predicates let a request go from one route to another, by their `names`."""
    if policy.allowed_routes is not None and names[1] not in policy.allowed_routes:
        return False
    if policy.safe_scheme and scheme != b"https" and target.scheme == b"https":
        return False
    if policy.no_route_twice:
        if names in trail.entered:
            return False
        trail.entered.add(names)
    return True
