"""One place that turns whatever goes wrong into an answer: JSON, and never a stack."""

from __future__ import annotations

import ipaddress
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from control_plane.ads.hub import UnknownProxyError
from control_plane.sources.source import RefusedError, SourceError
from control_plane.store.store import UnknownRevisionError
from mesh.errors import ConfigError, Problem

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(status: int, problems: Iterable[Problem]) -> web.Response:
    """`{"errors": [...]}`"""
    errors = [{"file": p.file, "line": p.line, "field": p.field, "message": p.message} for p in problems]
    return web.json_response({"errors": errors}, status=status)


def bad_request(message: str, field: str = "") -> web.HTTPException:
    """To be raised for a request that makes no sense."""
    return _Refused(400, Problem(message, field))


def not_found(message: str) -> web.HTTPException:
    return _Refused(404, Problem(message))


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
    except web.HTTPException as error:
        return refusal(error.status, [Problem(_explained(request, error))])
    except Exception:  # the rim: whatever it is, the process goes on and the client gets an answer
        reference = secrets.token_hex(4)
        log.exception("%s %s failed (reference %s)", request.method, request.path_qs, reference)
        return refusal(500, [Problem(f"something is wrong in the control plane; its log has it under {reference}")])


@web.middleware
async def only_ours(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keeps web pages out: a browser can be made to ask a loopback address, but not with these words."""
    if request.method in ("POST", "PUT", "PATCH") and request.content_type != "application/json":
        return refusal(415, [Problem("send JSON: content-type: application/json")])
    if _is_loopback(_local_address(request)) and not _names_this_machine(request.host):
        return refusal(421, [Problem(f"{request.host} is not this server: it listens on a loopback address only")])
    return await handler(request)


def _explained(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"the body is too large: {request.client_max_size} bytes is the limit"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} takes {', '.join(sorted(error.allowed_methods))}, not {request.method}"
    if error.status == 404:
        return f"there is nothing at {request.path}; GET / lists what there is"
    return error.reason or "refused"


def _local_address(request: web.Request) -> str:
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return str(name[0]) if name else ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str) -> bool:
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
