"""Internal redirects: a redirect of an upstream's is followed here, and the client gets the answer to the next request.

The request ends, with a line of its own in the access log, and another one begins in its place: with the headers as they
are by now, through the filters again, on the route that its new address has.
"""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.config.model import InternalRedirects
from sidecar.http.exchange import UNCOUNTED
from sidecar.http.forwarded import WISHES
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers, get, put
from sidecar.router.internal_redirect import Refusal, Target, Trail, accepts, refused_before
from sidecar.router.retry import Answer

if TYPE_CHECKING:
    from sidecar.forward.attempt import Attempt
    from sidecar.forward.stream import Stream
    from sidecar.router.table import CompiledRoute
    from sidecar.telemetry.stats import Counter, HttpStats

_TRAIL: Final = "internal redirects"
_SEE_OTHER: Final = 303
# What the way upstream added to the headers, and will add again.
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
_ADDED_OUTBOUND: Final = _FRAMING | {b"x-envoy-peer-metadata", b"x-envoy-peer-metadata-id"}
_EXPECTED: Final = b"x-envoy-expected-rq-timeout-ms"


def refused(stats: HttpStats, why: Refusal) -> Counter:
    """What counts redirects that went to the client."""
    match why:
        case Refusal.BAD_LOCATION:
            return stats.passthrough_internal_redirect_bad_location
        case Refusal.UNSAFE_SCHEME:
            return stats.passthrough_internal_redirect_unsafe_scheme
        case Refusal.TOO_MANY:
            return stats.passthrough_internal_redirect_too_many_redirects
        case Refusal.NO_ROUTE:
            return stats.passthrough_internal_redirect_no_route
        case Refusal.PREDICATE:
            return stats.passthrough_internal_redirect_predicate


class Redirects:
    """Those of one request's upstream that are followed: the first response that is not tried again decides."""

    __slots__ = ("_policy", "_request", "_whole")

    def __init__(self, request: Stream, policy: InternalRedirects) -> None:
        self._request = request
        self._policy: InternalRedirects | None = policy  # until there is such a response
        self._whole = request._body_size <= request._body_limit  # all that came of the body is kept

    @property
    def needs_body(self) -> bool:
        return self._policy is not None and self._whole

    def give_up_body(self) -> None:
        """More of it than may be kept."""
        plan = self._request._plan
        if self.needs_body and (plan is None or not plan.enabled):
            self._request.cluster.stats.retry_or_shadow_abandoned.value += 1
        self._whole = False

    def follows(self, attempt: Attempt, head: ResponseHead, end: bool) -> bool:
        """Whether the response is a redirect that was followed; else the client gets it."""
        policy, plan = self._policy, self._request._plan
        if policy is None or (plan is not None and plan.wants_response(head)):
            return False
        self._policy = None
        return head.status in policy.codes and self._followed(policy, attempt, head, end)

    def _followed(self, policy: InternalRedirects, attempt: Attempt, head: ResponseHead, end: bool) -> bool:
        request = self._request
        stats = request.cluster.stats
        redirection = Redirection(request, policy)
        found = redirection.find(head) if self._whole else None
        if found is None or isinstance(found, Refusal):
            stats.upstream_internal_redirect_failed_total.value += 1
            if found is not None:
                refused(request.manager.stats, found).value += 1
            return False
        target, route = found
        stats.upstream_internal_redirect_succeeded_total.value += 1
        if request.cluster.outlier is not None:
            request.cluster.outlier.on_status(attempt.host, head.status, monotonic())
        request._give_back(head.status)
        request._end_attempt(end)
        successor, body = redirection.follow(target, head), request._body
        successor._take(route)
        _end_as_redirected(request, successor, head)
        request.downstream.replace(successor)
        successor.restart(body)
        return True


def _end_as_redirected(request: Stream, successor: Stream, head: ResponseHead) -> None:
    """As Envoy's log has it: but for its status and its host it is the next request already."""
    request.method, request.path, request.authority = successor.method, successor.path, successor.authority
    request._end_retry(succeeded=True)
    request.route, request.cluster, request.cluster_name = successor.route, successor.cluster, successor.cluster_name
    request.keep(UNCOUNTED, True)
    request.status, request.details = head.status, "internal_redirect"
    request.responding = True
    request._finish()


class Redirection:
    """One redirect of the request `of`, as far as it was followed."""

    def __init__(self, of: Stream, policy: InternalRedirects) -> None:
        self._of = of
        self._policy = policy
        trail = of.kept(_TRAIL)
        self._trail: Trail = trail if trail is not None else Trail()

    def find(self, head: ResponseHead) -> tuple[Target, CompiledRoute] | Refusal | None:
        """Where it leads, or why it is not followed; None when the request, or the response, is not of that kind."""
        of, location = self._of, get(head.headers, b"location")
        if not of.request_complete or location is None:
            return None
        found = refused_before(self._policy, of.scheme, location, self._trail)
        if isinstance(found, Refusal):
            return found
        route = self._route(found, head)
        if route is None:
            return Refusal.NO_ROUTE
        if not accepts(self._policy, found, of.scheme, (of.route.name, route.name), self._trail):
            return Refusal.PREDICATE
        return found, route

    def _route(self, target: Target, head: ResponseHead) -> CompiledRoute | None:
        """The route of the request as it would be."""
        of = self._of
        before = of.scheme, of.authority, of.path, of.headers
        of.scheme, of.authority, of.path = target.scheme, target.authority, target.path
        of.headers = self._headers(of.headers, head)
        route = of.manager.routes.find(of)
        of.scheme, of.authority, of.path, of.headers = before
        return route

    def _headers(self, headers: Headers, head: ResponseHead) -> Headers:
        copied = self._policy.copied_headers
        gone = (_ADDED_OUTBOUND if self._of.manager.outbound else _FRAMING).union(copied)
        headers = [header for header in headers if header[0] not in gone]
        for name in copied:
            headers += [(name, value) for value in Answer(head).header_values(name)]
        return headers

    def follow(self, target: Target, head: ResponseHead) -> Stream:
        """The next request, not started."""
        of = self._of
        headers = self._headers(of.headers, head)
        put(headers, b"x-envoy-original-url", of.scheme + b"://" + of.authority + of.path)
        hop_headers, method, length = dict(of.hop_headers), of.method, of.length
        if head.status == _SEE_OTHER and method not in (b"GET", b"HEAD"):
            method, length = b"GET", 0
            hop_headers.pop(b"content-length", None)
        indexed_headers = {name: value for name, value in of.indexed_headers.items() if name not in WISHES}
        indexed_headers[_EXPECTED] = b""
        next_head = RequestHead(method, target.path, headers, hop_headers, indexed_headers, of.protocol)
        next_head.spelling = of.head.spelling
        stream = type(of)(of.downstream, of.manager, next_head, length, monotonic())
        stream.authority, stream.scheme = target.authority, target.scheme
        stream.request_id, stream.peer = of.request_id, of.peer
        stream.request_trailers, stream.request_complete = of.request_trailers, True
        stream.bytes_received = of.bytes_received
        self._trail.redirects += 1
        stream.keep(_TRAIL, self._trail)
        return stream
