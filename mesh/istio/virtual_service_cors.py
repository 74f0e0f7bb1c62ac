"""VirtualService: which web pages may call a route (cross-origin resource sharing)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from mesh.istio.model import Found, Message, shown
from mesh.istio.scalars import Duration, Rows, Word, is_header_name
from mesh.istio.virtual_service_match import StringMatch

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")


class UnmatchedPreflights(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    FORWARD = "FORWARD"
    IGNORE = "IGNORE"


class CorsPolicy(Message):
    """`allow_origin` is the deprecated list of exact origins; it counts when there is no `allow_origins`. Preflights of
    other origins are forwarded unless they are to be ignored."""

    allow_origins: Rows[StringMatch] = ()
    allow_origin: Rows[str] = ()
    allow_methods: Rows[str] = ()
    allow_headers: Rows[str] = ()
    expose_headers: Rows[str] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Word[UnmatchedPreflights] = UnmatchedPreflights.UNSPECIFIED

    def rules(self) -> Iterator[Found]:
        for index, origin in enumerate(self.allow_origins):
            if origin.empty:
                yield Found(("allowOrigins", index), "must be one of exact, prefix or regex")
            for field in ("exact", "prefix", "regex"):
                if getattr(origin, field) == "":
                    yield Found(("allowOrigins", index, field), "must not be empty: no origin is")
        for index, method in enumerate(self.allow_methods):
            if method not in METHODS:
                yield Found(("allowMethods", index), f"must be one of {', '.join(METHODS)}, not {shown(method)}")
        for field, names in (("allowHeaders", self.allow_headers), ("exposeHeaders", self.expose_headers)):
            for index, name in enumerate(names):
                if not is_header_name(name):
                    yield Found((field, index), f"{shown(name)} is not a header name")
        if self.max_age is not None and self.max_age != int(self.max_age):
            yield Found(("maxAge",), f"must be whole seconds, not {self.max_age:g}s")
