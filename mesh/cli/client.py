"""The control plane's HTTP API, as functions. Plain http.client: it starts fast, and an `http_proxy` in the environment
(the very one that `mesh run` sets) does not come between."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from mesh.cli.errors import USAGE, CliError, NoAnswerError, RefusedError, UnreachableError
from mesh.errors import Problem
from mesh.naming import CONSOLE_PORT

TIMEOUT_SECONDS = 30.0
CHANGE_SECONDS = 300.0  # tens of thousands of resources in one file take minutes to check
CONNECT_SECONDS = 3.0
REFUSED_FILES = 422
Json = Any


def parse_server(server: str) -> tuple[str, int]:
    """Host and port of `URL`, `HOST:PORT` or `HOST`."""
    parts = urlsplit(server if "//" in server else f"//{server}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("", "http") or not parts.hostname or port == -1:
        raise CliError(f"--server {server}: expected http://HOST:PORT", code=USAGE)
    return parts.hostname, port or CONSOLE_PORT


class ControlPlane:
    """One connection's worth of questions. Raises UnreachableError, NoAnswerError, RefusedError (4xx) or CliError."""

    def __init__(self, server: str) -> None:
        self._host, self._port = parse_server(server)
        self.url = f"http://{self._host}:{self._port}"

    def apply(self, files: Sequence[Mapping[str, str]], **flags: bool) -> Json:
        """`flags`: dry_run, strict, skip_unknown."""
        asked = {name: True for name, value in flags.items() if value}
        return self._send("POST", "/api/v1/apply", {"files": list(files), **asked}, CHANGE_SECONDS)

    def analyze(
        self,
        files: Sequence[Mapping[str, str]],
        suppress: Sequence[str] = (),
        calls: Mapping[str, Sequence[str]] | None = None,
    ) -> Json:
        """What is to be said of everything in effect, and of files as if they were applied."""
        body = {"files": list(files), "suppress": list(suppress), "calls": dict(calls or {})}
        return self._send("POST", "/api/v1/analyze", body, CHANGE_SECONDS)

    def diff(self, files: Sequence[Mapping[str, str]]) -> list[Json]:
        return self._items(self._send("POST", "/api/v1/diff", {"files": list(files)}, CHANGE_SECONDS), "diffs")

    def delete_files(self, files: Sequence[Mapping[str, str]]) -> Json:
        return self._send("POST", "/api/v1/delete", {"files": list(files)}, CHANGE_SECONDS)

    def delete(self, kind: str, namespace: str, name: str) -> Json:
        return self._send("DELETE", f"/api/v1/resources/{quote(kind)}/{quote(namespace)}/{quote(name)}")

    def resources(self, kind: str = "", namespace: str = "", name: str = "") -> list[Json]:
        return self._items(self._get("/api/v1/resources", kind=kind, namespace=namespace, name=name))

    def plane_status(self) -> Json:
        """The control plane itself."""
        answer = self._get("/api/v1/status")
        if not isinstance(answer, dict) or "problems" not in answer:
            raise CliError(f"{self.url} is not a mesh control plane: it has no status")
        return answer

    def status(self, kind: str = "", namespace: str = "", name: str = "") -> list[Json]:
        """How the resources are."""
        return self._items(self._get("/api/v1/status/resources", kind=kind, namespace=namespace, name=name))

    def history(self, kind: str = "", namespace: str = "", name: str = "", limit: int = 20) -> list[Json]:
        return self._items(self._get("/api/v1/history", kind=kind, namespace=namespace, name=name, limit=str(limit)))

    def rollback(self, revision: int) -> Json:
        return self._send("POST", "/api/v1/rollback", {"revision": revision}, CHANGE_SECONDS)

    def convergence(self, revision: int, timeout: float) -> Json:
        """How far the proxies are with `revision`: asks until all have it, one refuses it, or the time is over."""
        path = f"/api/v1/convergence/{revision}?{urlencode({'timeout': f'{timeout:g}'})}"
        return self._send("GET", path, timeout=timeout + TIMEOUT_SECONDS)

    def proxies(self) -> list[Json]:
        return self._items(self._get("/api/v1/proxies"))

    def proxy_config(self, proxy: str, kind: str) -> list[Json]:
        return self._items(self._get(f"/api/v1/proxies/{quote(proxy, safe='')}/config", type=kind))

    def workloads(self) -> list[Json]:
        return self._items(self._get("/api/v1/workloads"))

    def experiments(self) -> list[Json]:
        return self._items(self._get("/api/v1/experiments"))

    def experiment(self, namespace: str, name: str) -> Json:
        return self._get(f"/api/v1/experiments/{quote(namespace)}/{quote(name)}")

    def experiment_action(self, namespace: str, name: str, action: str, reason: str = "") -> Json:
        """stop, promote, pause or resume."""
        body = {"reason": reason} if reason else {}
        return self._send("POST", f"/api/v1/experiments/{quote(namespace)}/{quote(name)}/{action}", body)

    def ready(self) -> bool:
        try:
            self._send("GET", "/readyz", timeout=CONNECT_SECONDS)
        except CliError:
            return False
        return True

    def _get(self, path: str, **query: str) -> Json:
        asked = urlencode({name: value for name, value in query.items() if value})
        return self._send("GET", f"{path}?{asked}" if asked else path)

    def _items(self, answer: Json, key: str = "items") -> list[Json]:
        items = answer.get(key) if isinstance(answer, dict) else None
        if not isinstance(items, list):
            raise CliError(f"{self.url} is not a mesh control plane: its answer has no {key}")
        return items

    def _send(self, method: str, path: str, body: Json = None, timeout: float = TIMEOUT_SECONDS) -> Json:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise UnreachableError(self.url, _reason(error)) from error
            connection.sock.settimeout(timeout)
            content = None if body is None else json.dumps(body).encode()
            try:
                connection.request(method, path, content, {"content-type": "application/json"} if content else {})
                response = connection.getresponse()
                status, text = response.status, response.read().decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                reason = f"after {timeout:g} s" if isinstance(error, TimeoutError) else _reason(error)
                raise NoAnswerError(self.url, reason, changes=method != "GET") from error
        finally:
            connection.close()
        return self._checked(status, text, path)

    def _checked(self, status: int, text: str, path: str) -> Json:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status < 400 and (answer is not None or path == "/readyz"):
            return answer
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if isinstance(errors, list):
            problems = [_problem(error) for error in errors]
            if len(problems) == 1 and status != REFUSED_FILES:
                raise CliError(problems[0])
            raise RefusedError(f"refused by the control plane ({status})", problems)
        raise CliError(f"{self.url}{path.partition('?')[0]} answered {status}", *text.strip().splitlines()[:3])


def _problem(error: Json) -> str:
    if not isinstance(error, dict):
        return str(error)
    return str(
        Problem(
            str(error.get("message", "")),
            str(error.get("field") or ""),
            str(error.get("file") or ""),
            int(error.get("line") or 0),
            int(error.get("column") or 0),
        )
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error) or type(error).__name__
