"""Envoy's `%COMMAND%`s in header values: the ones that every proxy of the mesh knows."""

from __future__ import annotations

import re
from typing import Final

from mesh.istio.model import shown, suggestion
from mesh.istio.refused import NOT_YET

# %NAME%, %NAME(argument)%, %NAME(argument):LENGTH%; %% is a percent sign.
_COMMAND = re.compile(r"%(?:%|([A-Z][A-Z0-9_]*)(?:\(((?:[^()%]|%[^)]*%)*)\))?(?::([0-9]+))?%)")
_HEADERS = re.compile(r":?[-!#$&'*+.^_`|~0-9A-Za-z]+(\?:?[-!#$&'*+.^_`|~0-9A-Za-z]+)?", re.ASCII)
_MAX_LENGTH: Final = 2**31 - 1

_BY_ADDRESS = ("ADDRESS", "ADDRESS_WITHOUT_PORT", "PORT")
_ENDS = ("DOWNSTREAM_REMOTE", "DOWNSTREAM_LOCAL", "DOWNSTREAM_DIRECT_REMOTE", "UPSTREAM_REMOTE", "UPSTREAM_LOCAL")
PLAIN: Final = (
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_TERMINATION_DETAILS",
    "DURATION",
    "HOSTNAME",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_FLAGS",
    "ROUTE_NAME",
    "START_TIME",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_HOST",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    *(f"{end}_{part}" for end in _ENDS for part in _BY_ADDRESS),
)
WITH_HEADER: Final = ("REQ", "RESP")
# Known to Envoy with an argument; START_TIME also goes without.
WITH_TEXT: Final = ("START_TIME",)
# Known to Envoy, and not to every proxy of ours, or not in every place.
REFUSED: Final = frozenset(
    (
        "CEL",
        "CLUSTER_METADATA",
        "DYNAMIC_METADATA",
        "ENVIRONMENT",
        "FILTER_STATE",
        "METADATA",
        "PATH",
        "PER_REQUEST_STATE",
        "QUERY_PARAM",
        "REQUEST_HEADER",
        "REQ_WITHOUT_QUERY",
        "RESPONSE_HEADER",
        "TRAILER",
        "UPSTREAM_METADATA",
    )
)


def format_problem(value: str) -> str:
    """Why a proxy would not take a header value, or an empty string."""
    position = 0
    while (position := value.find("%", position)) >= 0:
        command = _COMMAND.match(value, position)
        if command is None:
            return f"a % must be written %% or begin a command such as %REQ(x-id)%: {shown(value)}"
        if command[1] and (problem := _command_problem(*command.groups())):
            return problem
        position = command.end()
    return ""


def _command_problem(name: str, argument: str | None, length: str | None) -> str:
    if name in WITH_HEADER:
        if argument is None or not _HEADERS.fullmatch(argument):
            return f"%{name}(…)% needs the name of a header, or two of them with a ? between"
        return "" if length is None or int(length) <= _MAX_LENGTH else f"%{name}(…):{length}% is too long"
    if name in REFUSED:
        return f"%{name}% is {NOT_YET}"
    if name not in PLAIN:
        return f"%{name}% is no command{suggestion(name, (*PLAIN, *WITH_HEADER))}"
    if length is not None or (argument is not None and name not in WITH_TEXT):
        return f"%{name}% does not take any parameters or length"
    return ""
