"""What a VirtualService's rule does with a request → the action of a Route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.route.v3.route_components_pb2 import DirectResponseAction, RedirectAction, RouteAction

from control_plane.translate.fault import chance_of
from control_plane.translate.hash_policy import hash_policy
from control_plane.translate.headers import apply_headers
from control_plane.translate.messages import duration
from control_plane.translate.retry import DEFAULT, retry_policy
from mesh.istio.load_balancing import ConsistentHashLB
from mesh.istio.virtual_service import (
    Destination,
    HTTPDirectResponse,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    Percent,
    RedirectPortSelection,
)

_REDIRECT_CODES: Final = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
NO_TIMEOUT: Final = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule's action depends on besides the rule: the port that was called, where destinations lead, and how the
    requests to a cluster are spread by a key. `grpc` clients read the time-out from another field; `retries` are the mesh's,
    for rules that say nothing of them; with `forwarded_host` x-forwarded-host has the host that a rewrite replaces."""

    port: int
    cluster: Callable[[Destination], str]
    grpc: bool = False
    hashing: Callable[[str], ConsistentHashLB | None] = lambda _cluster: None
    retries: HTTPRetry | None = None
    forwarded_host: bool = False


def apply_action(route: Any, rule: HTTPRoute, target: Target) -> None:
    """Sets the action of `route`, and the header operations of the rule and of its only destination on it."""
    authority = apply_headers(route, rule.headers)
    if rule.redirect is not None:
        route.redirect.CopyFrom(_redirect(rule.redirect, target.port))
    elif rule.direct_response is not None:
        route.direct_response.CopyFrom(_direct_response(rule.direct_response))
    else:
        _forward(route, rule, authority, target)


def default_action(
    cluster: str, grpc: bool = False, hashing: ConsistentHashLB | None = None, retries: HTTPRetry | None = None
) -> Any:
    """To a service that has no rules: no time-out, the mesh's retries, which are Istio's."""
    action = RouteAction(cluster=cluster, retry_policy=DEFAULT if retries is None else retry_policy(retries))
    _add_hash_policy(action, hashing)
    _set_timeout(action, NO_TIMEOUT, grpc)
    return action


# ── forwarding ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _forward(route: Any, rule: HTTPRoute, authority: str, target: Target) -> None:
    action = route.route
    action.append_x_forwarded_host = target.forwarded_host
    _set_timeout(action, NO_TIMEOUT if rule.timeout is None else rule.timeout, target.grpc)
    if rule.rewrite is not None:
        _rewrite(action, rule.rewrite)
        authority = rule.rewrite.authority or authority
    if authority:
        action.host_rewrite_literal = authority
    for copied_to, percent in () if target.grpc else rule.mirrored:
        mirror = action.request_mirror_policies.add(cluster=target.cluster(copied_to))
        mirror.runtime_fraction.default_value.CopyFrom(chance_of(Percent(value=percent)))
        mirror.trace_sampled.value = False
    only = rule.route[0] if len(rule.route) == 1 else None
    hashing = target.hashing(target.cluster(only.destination)) if only is not None else None
    if (policy := retry_policy(rule.retries or target.retries, sticky=hashing is not None)) is not None:
        action.retry_policy.CopyFrom(policy)
    if only is not None:
        action.cluster = target.cluster(only.destination)
        _add_hash_policy(action, hashing)
        own = apply_headers(route, only.headers)
        if own and not authority:
            action.host_rewrite_literal = own
        return
    for destination in rule.route:
        if destination.weight:
            cluster = target.cluster(destination.destination)
            _add_hash_policy(action, target.hashing(cluster))
            share = action.weighted_clusters.clusters.add(name=cluster)
            share.weight.value = destination.weight
            if own := apply_headers(share, destination.headers):
                share.host_rewrite_literal = own


def _add_hash_policy(action: Any, hashing: ConsistentHashLB | None) -> None:
    """Those of several destinations are all used for all of them, as in Istio: a route has one list."""
    if hashing is not None and (policy := hash_policy(hashing)) is not None:
        action.hash_policy.append(policy)


def _set_timeout(action: Any, seconds: float, grpc: bool) -> None:
    action.timeout.CopyFrom(duration(seconds))
    if grpc:
        action.max_stream_duration.max_stream_duration.CopyFrom(duration(seconds))
    else:
        action.max_grpc_timeout.CopyFrom(duration(seconds))  # a grpc-timeout header counts, up to that


def _rewrite(action: Any, rewrite: HTTPRewrite) -> None:
    if rewrite.uri_regex_rewrite is not None:
        action.regex_rewrite.pattern.regex = rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rewrite.uri_regex_rewrite.rewrite
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _redirect(redirect: HTTPRedirect, port: int) -> Any:
    action = RedirectAction(
        host_redirect=redirect.authority,
        response_code=_REDIRECT_CODES[redirect.redirect_code],
        port_redirect=_redirect_port(redirect, port),
    )
    if redirect.prefix_rewrite:
        action.prefix_rewrite = redirect.prefix_rewrite
    elif redirect.uri:
        action.path_redirect = redirect.uri
    if redirect.scheme:
        action.scheme_redirect = redirect.scheme
    return action


def _redirect_port(redirect: HTTPRedirect, port: int) -> int:
    """0 leaves it out: so is the scheme's own port."""
    derived = port if redirect.derive_port is RedirectPortSelection.FROM_REQUEST_PORT else 0
    wanted = redirect.port or derived
    return 0 if wanted == _DEFAULT_PORTS.get(redirect.scheme or "http") else wanted


def _direct_response(response: HTTPDirectResponse) -> Any:
    action = DirectResponseAction(status=response.status)
    if response.body is not None:
        if response.body.bytes is not None:
            action.body.inline_bytes = response.body.content
        else:
            action.body.inline_string = response.body.string or ""
    return action
