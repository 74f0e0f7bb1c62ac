"""How long a request may last: max_stream_duration and grpc-timeout, Envoy's rules. Pure."""

from __future__ import annotations

import re
from typing import Final

from sidecar.config.model import Forward, StreamDuration

_GRPC_TIMEOUT: Final = re.compile(rb"(\d{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3_600_000.0, b"M": 60_000.0, b"S": 1000.0, b"m": 1.0, b"u": 1e-3, b"n": 1e-6}
_RENDERED: Final = ((b"m", 1), (b"S", 1000), (b"M", 60_000), (b"H", 3_600_000))
_MOST: Final = 99_999_999  # eight digits


def grpc_timeout(value: bytes | None) -> float | None:
    """A grpc-timeout header in seconds, rounded up to milliseconds; None for anything else."""
    match = _GRPC_TIMEOUT.fullmatch(value) if value is not None else None
    if match is None:
        return None
    return -(-int(match[1]) * _UNITS[match[2]] // 1) / 1000


def rendered(seconds: float) -> bytes:
    """A grpc-timeout header, in the finest unit that has room for it, from milliseconds on."""
    milliseconds = round(seconds * 1000)
    for unit, size in _RENDERED:
        if milliseconds // size <= _MOST:
            return b"%d%b" % (milliseconds // size, unit)
    return b"%dH" % _MOST


def limit(of_route: StreamDuration | None, of_manager: float, header: bytes | None) -> float | None:
    """Seconds that a request with this grpc-timeout header may last, None when it may last for ever."""
    asked = grpc_timeout(header)
    if asked is None or of_route is None or of_route.grpc_max is None:
        whole = of_manager if of_route is None or of_route.whole is None else of_route.whole
        return whole or None
    if of_route.grpc_max and asked > of_route.grpc_max:
        asked = of_route.grpc_max
    return max(asked - of_route.grpc_offset, 0.0)


def final_timeout(asked: bytes | None, action: Forward) -> float:
    """Seconds that a gRPC request may take on a route with `max_grpc_timeout`: what its grpc-timeout header asks for, up
    to that; 0.0 for as long as it likes."""
    seconds = grpc_timeout(asked) or 0.0
    if action.grpc_timeout_offset and seconds > action.grpc_timeout_offset:
        seconds -= action.grpc_timeout_offset
    most = action.max_grpc_timeout or 0.0
    return most if most and (not seconds or seconds > most) else seconds
