"""What was seen of a case, flattened to paths, with what may differ between two runs of one proxy made equal."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.harness.client import Fields, Response
from tests.harness.upstream import Received

Flat = dict[str, Any]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DIGITS = re.compile(r"\d+")
HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
MADE_UP = re.compile(r'="[0-9a-f]{16}"')  # a cookie's value, from the ports of the connection
SERVICE_TIME = "~service_time"  # the log's x-envoy-upstream-service-time, by which `head:` sizes are corrected
TIME_STEP_MS = 400  # times that a case is about are compared in steps of this
FIRST_TIMEOUT_STEP_MS = 100  # x-envoy-expected-rq-timeout-ms is exact in the first attempt but for a little haste …
LATER_TIMEOUT_STEP_MS = 1000  # … and shrinks with the time that retries took


@dataclass(slots=True)
class Observation:
    """`ports` gives words for port numbers that differ between the sides."""

    responses: list[Response | None] = field(default_factory=list)
    tunnel: bytes = b""
    end: str = ""
    upstream: list[Received] = field(default_factory=list)
    log: list[Mapping[str, Any]] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    ports: dict[int, str] = field(default_factory=dict)
    more: Flat = field(default_factory=dict)  # of HTTP/2, flat already

    def flat(self) -> Flat:
        """Path → value; equal for two runs of the same behaviour."""
        flat: Flat = {
            "client.count": len(self.responses),
            "client.end": self.end,
            "client.tunnel": self.tunnel,
            "upstream.count": len(self.upstream),
            "log.count": len(self.log),
        }
        for number, response in enumerate(self.responses):
            _response(flat, f"client[{number}]", response)
        for number, received in enumerate(self.upstream):
            _received(flat, number, received)
        for number, line in enumerate(self.log):
            for key, value in line.items():
                if key != "client":
                    flat[f"log[{number}].{key}"] = _logged(key, value, line)
        for name, value in self.stats.items():
            flat[f"stats.{name}"] = value
        flat |= self.more
        return {path: self._stable(value) for path, value in flat.items()}

    def _stable(self, value: Any) -> Any:
        if isinstance(value, str):
            for port, word in self.ports.items():
                value = value.replace(f":{port}", f":<{word}>")
        elif isinstance(value, tuple):
            return tuple(self._stable(item) for item in value)
        return value


def _logged(key: str, value: Any, line: Mapping[str, Any]) -> Any:
    if key.startswith("~"):
        return DIGITS.sub("0", str(value))
    if key.startswith("head:"):  # the head says how long the upstream took: one digit on one side, two on the other
        return int(value) - len(line[SERVICE_TIME] or "")
    return int(value) // TIME_STEP_MS if key.startswith("steps:") else value


def differences(envoy: Flat, ours: Flat, ignore: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
    """Path → (Envoy's, ours) for each path that is not equal; a path that one side lacks counts as None."""
    return {
        path: (envoy.get(path), ours.get(path))
        for path in sorted(envoy.keys() | ours.keys())
        if envoy.get(path) != ours.get(path) and not any(path.startswith(prefix) for prefix in ignore)
    }


def describe(found: Mapping[str, tuple[Any, Any]]) -> str:
    """The differences for a person."""
    return "\n".join(f"{path}\n    envoy: {envoy!r}\n    ours:  {ours!r}" for path, (envoy, ours) in found.items())


def _response(flat: Flat, path: str, response: Response | None) -> None:
    flat[f"{path}.status"] = response.status if response else None
    if response is None:
        return
    flat[f"{path}.reason"] = response.reason
    flat[f"{path}.version"] = response.version
    flat[f"{path}.body"] = _decoded(response)
    flat[f"{path}.framing"] = response.framing
    flat[f"{path}.complete"] = response.complete
    flat[f"{path}.trailers"] = tuple(response.trailers)
    _headers(flat, f"{path}.header", response.headers)
    for number, interim in enumerate(response.interim):
        flat[f"{path}.interim[{number}].status"] = interim.status
        _headers(flat, f"{path}.interim[{number}].header", interim.headers)


def _decoded(message: Response | Received) -> bytes:
    """The body, without a coding whose bytes depend on the library that wrote them."""
    if message.header("content-encoding") != "gzip":
        return message.body
    try:
        return gzip.decompress(message.body)
    except (OSError, EOFError):
        return message.body


def _received(flat: Flat, number: int, received: Received) -> None:
    path = f"upstream[{number}]"
    flat[f"{path}.line"] = received.line
    flat[f"{path}.body"] = _decoded(received)
    flat[f"{path}.framing"] = received.framing
    flat[f"{path}.complete"] = received.complete
    flat[f"{path}.trailers"] = tuple(received.trailers)
    flat[f"{path}.connection"] = received.connection
    flat[f"{path}.tunnel"] = received.tunnel
    step = LATER_TIMEOUT_STEP_MS if number else FIRST_TIMEOUT_STEP_MS
    _headers(flat, f"{path}.header", received.headers, step)


def _headers(flat: Flat, path: str, headers: Fields, timeout_step: int = FIRST_TIMEOUT_STEP_MS) -> None:
    """A path per name with its values in order: the order between different names means nothing in HTTP."""
    for name, value in headers:
        key = f"{path}.{name}"
        flat[key] = (*flat.get(key, ()), stable_header(name.lower(), value, timeout_step))


def stable_header(name: str, value: str, timeout_step: int) -> str:
    match name:
        case "date" if HTTP_DATE.fullmatch(value):
            return "<date>"
        case "x-request-id" if UUID.fullmatch(value):
            return f"<uuid version {value[14]}>"
        case "x-envoy-upstream-service-time" if value.isdigit():
            return "<ms>"
        case "x-envoy-expected-rq-timeout-ms" if value.isdigit():
            return f"<{-(-int(value) // timeout_step) * timeout_step} ms>"
        case "set-cookie":
            return MADE_UP.sub('="<hash>"', value)
        case _:
            return value
