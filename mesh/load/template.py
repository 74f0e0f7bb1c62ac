"""What is asked for: requests as templates, several of them in a mix. Pure, but for the randomness that it is given.

`{{…}}` in a path, a header or a body stands for something new in each request: `{{number}}` (0, 1, 2 …), `{{uuid}}`,
`{{random 1 100}}`, `{{choice red green blue}}`. A request without any is rendered once.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mesh.errors import MeshError

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)((?:\s+[^\s{}]+)*)\s*\}\}")
METHOD = re.compile(r"[A-Z]{3,16}")
OWN_HEADERS = ("host", "content-length", "connection", "transfer-encoding")
FORBIDDEN = re.compile(r"[\x00\r\n]")
TARGET = re.compile(r"[!-~]+")  # of a request line: visible ASCII

Render = Callable[[int, random.Random], str]


class TemplateError(MeshError):
    """A request that cannot be made: which one, and why."""


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """One kind of request of a mix. `weight` is its share of the sum of all; `name` is how reports call it."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    weight: float = 1.0
    name: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> RequestSpec:
        """From plain JSON data. TemplateError where it does not fit."""
        known = {"url": str, "method": str, "headers": dict, "body": str, "weight": (int, float), "name": str}
        for name, value in data.items():
            if name not in known:
                raise TemplateError(f"{name}: unknown field; there are {', '.join(known)}")
            if not isinstance(value, known[name]):  # type: ignore[arg-type]
                raise TemplateError(f"{name}: {value!r} is not of the right type")
        if not data.get("url"):
            raise TemplateError("url: is required")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes: a plain HTTP server, or the proxy through which it is reached."""

    host: str
    port: int


class Template:
    """A checked request. `render(number, chance)` gives the bytes to send."""

    def __init__(self, spec: RequestSpec, proxy: Origin | None = None) -> None:
        parts = urlsplit(spec.url)
        if parts.scheme != "http" or not parts.hostname:
            raise TemplateError(f"{spec.url}: expected http://HOST[:PORT]/PATH (TLS is not spoken here)")
        if not METHOD.fullmatch(spec.method):
            raise TemplateError(f"{spec.method!r} is no HTTP method")
        if not 0 < spec.weight < 1e9:
            raise TemplateError(f"{spec.url}: its weight must be above 0, not {spec.weight:g}")
        try:
            port = parts.port or 80
        except ValueError as error:
            raise TemplateError(f"{spec.url}: {error}") from error
        self.name = spec.name or f"{spec.method} {parts.path or '/'}"
        self.weight = spec.weight
        self.origin = proxy or Origin(parts.hostname, port)
        self.no_body = spec.method == "HEAD"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = f"http://{parts.netloc}{path}" if proxy else path
        lines = [f"{spec.method} {target} HTTP/1.1", f"host: {_host(spec, parts.netloc)}"]
        lines += [f"{name.lower()}: {value}" for name, value in spec.headers.items() if name.lower() != "host"]
        _check(spec, target)
        self._head = _compile("\r\n".join(lines))
        self._body = _compile(spec.body)
        self._has_body = bool(spec.body) or spec.method in ("POST", "PUT", "PATCH")
        fixed = isinstance(self._head, str) and isinstance(self._body, str)
        self._fixed = self._render(0, random.Random(0)) if fixed else None

    def render(self, number: int, chance: random.Random) -> bytes:
        return self._fixed if self._fixed is not None else self._render(number, chance)

    def _render(self, number: int, chance: random.Random) -> bytes:
        head, body = (each if isinstance(each, str) else each(number, chance) for each in (self._head, self._body))
        content = body.encode()
        length = f"\r\ncontent-length: {len(content)}" if self._has_body else ""
        return f"{head}{length}\r\n\r\n".encode("latin-1", "replace") + content


class Mix:
    """Templates by weight. `pick` takes them at random, in proportion."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self.templates = list(templates)
        total, sums = 0.0, []
        for template in self.templates:
            total += template.weight
            sums.append(total)
        self._sums = sums

    def pick(self, chance: random.Random) -> int:
        """The index of the next one."""
        if len(self.templates) == 1:
            return 0
        return chance.choices(range(len(self.templates)), cum_weights=self._sums)[0]


def _host(spec: RequestSpec, netloc: str) -> str:
    given = [value for name, value in spec.headers.items() if name.lower() == "host"]
    return given[0] if given else netloc


def _check(spec: RequestSpec, target: str) -> None:
    if not TARGET.fullmatch(PLACEHOLDER.sub("x", target)):
        raise TemplateError(f"{spec.url}: a URL holds visible ASCII characters only; escape others as %XX")
    for name, value in spec.headers.items():
        if not isinstance(value, str) or FORBIDDEN.search(name + value) or not name or ":" in name or " " in name:
            raise TemplateError(f"{name!r}: {value!r} is no header")
        if name.lower() in OWN_HEADERS[1:]:
            raise TemplateError(f"{name}: is set by the load generator itself")


def _compile(text: str) -> str | Render:
    """The text itself, or, where it has placeholders, what fills them in."""
    pieces: list[str | Render] = []
    position = 0
    for found in PLACEHOLDER.finditer(text):
        pieces += [text[position : found.start()], _value(found[1], found[2].split())]
        position = found.end()
    if not pieces:
        return text
    pieces.append(text[position:])

    def render(number: int, chance: random.Random) -> str:
        return "".join(piece if isinstance(piece, str) else piece(number, chance) for piece in pieces)

    return render


def _value(word: str, arguments: Sequence[str]) -> Render:
    if word == "number" and not arguments:
        return lambda number, _chance: str(number)
    if word == "uuid" and not arguments:
        return lambda _number, chance: str(uuid.UUID(int=chance.getrandbits(128), version=4))
    if word == "random" and len(arguments) == 2 and all(each.lstrip("-").isdigit() for each in arguments):
        low, high = map(int, arguments)
        if low <= high:
            return lambda _number, chance: str(chance.randint(low, high))
    if word == "choice" and arguments:
        options = list(arguments)
        return lambda _number, chance: chance.choice(options)
    given = " ".join((word, *arguments))
    raise TemplateError(f"{{{{{given}}}}}: there are number, uuid, random LOW HIGH and choice A B …")
