"""One place that turns whatever goes wrong into an answer: JSON, and never a stack."""

from __future__ import annotations

import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator

from aiohttp import web
from aiohttp.typedefs import Middleware

from control_plane.ads.hub import UnknownProxyError
from control_plane.sources.source import RefusedError, SourceError
from control_plane.store.store import UnknownRevisionError
from mesh.errors import ConfigError, Problem

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(status: int, problems: Iterable[Problem]) -> web.Response:
    """`{"errors": [...]}`"""
    errors = [
        {"file": p.file, "line": p.line, "column": p.column, "field": p.field, "message": p.message} for p in problems
    ]
    return web.json_response({"errors": errors}, status=status)


def bad_request(message: str, field: str = "") -> web.HTTPException:
    """To be raised for a request that makes no sense."""
    return _Refused(400, Problem(message, field))


def not_found(message: str) -> web.HTTPException:
    return _Refused(404, Problem(message))


def conflict(message: str) -> web.HTTPException:
    """To be raised for what cannot be done as things are."""
    return _Refused(409, Problem(message))


def unavailable(message: str) -> web.HTTPException:
    """To be raised where there is too much to do."""
    return _Refused(503, Problem(message))


def unsupported(message: str) -> web.HTTPException:
    """To be raised for a body that is of no type that is read here."""
    return _Refused(415, Problem(message))


class _Refused(web.HTTPException):
    def __init__(self, status: int, problem: Problem) -> None:
        self.status_code = status
        super().__init__()
        self.problem = problem


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refused as refused:
        return refusal(refused.status_code, [refused.problem])
    except ConfigError as error:
        return refusal(422, error.problems)
    except RefusedError as error:
        return refusal(409, error.problems)
    except (UnknownRevisionError, UnknownProxyError) as error:
        return refusal(404, [Problem(str(error))])
    except SourceError as error:
        log.error("%s %s: the config store failed: %s", request.method, request.path, error)
        return refusal(503, [Problem(str(error))])
    except ConnectionError:  # the client is gone: an answer that nobody reads, but no error of ours
        return web.Response(status=CLIENT_CLOSED_REQUEST)
    except web.HTTPException as error:
        return refusal(error.status, [Problem(_explained(request, error))])
    except Exception:  # the rim: whatever it is, the process goes on and the client gets an answer
        reference = secrets.token_hex(4)
        log.exception("%s %s failed (reference %s)", request.method, request.path_qs, reference)
        return refusal(500, [Problem(f"something is wrong in the control plane; its log has it under {reference}")])


class AllowedHosts:
    """The names that this server answers to. A browser can be made to ask any address that it reaches under a name of a
    page's own choice (DNS rebinding), so that they are those to which a stranger cannot point: addresses, `localhost`,
    names without a dot, and those that are `allowed` by configuration (`*.example.com` means all below)."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)

    def includes(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host_name(host)
        if name is None:
            return False
        if "." not in name or name.endswith(".localhost") or name in self._allowed or _is_address(name):
            return True
        return any(f"*.{rest}" in self._allowed for rest in _parents(name))


def only_ours(hosts: AllowedHosts) -> Middleware:
    """Middleware that keeps web pages out."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method in ("POST", "PUT", "PATCH") and request.content_type != "application/json":
            return refusal(415, [Problem("send JSON: content-type: application/json")])
        host = request.headers.get("host")
        if host is not None and not hosts.includes(host):  # every browser sends it
            return refusal(421, [Problem(f"{host[:100]} is no name of this server; --allowed-host makes it one")])
        return await handler(request)

    return check


def host_name(authority: str) -> str | None:
    """The name or address in HOST[:PORT], in lower case; None for what is neither."""
    if authority.startswith("["):
        name, bracket, rest = authority[1:].partition("]")
        if not bracket or not _is_address(name):
            return None
    else:
        name, colon, port = authority.partition(":")
        rest = colon + port
    if rest and not (rest[0] == ":" and (rest[1:].isascii() and rest[1:].isdigit())):
        return None
    return name.lower().rstrip(".") or None


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _explained(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"the body is too large: {request.client_max_size} bytes is the limit"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} takes {', '.join(sorted(error.allowed_methods))}, not {request.method}"
    if error.status == 404:
        return f"there is nothing at {request.path}; GET / lists what there is"
    return error.reason or "refused"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
