"""Flow collections as YAML 1.2 has them, and Kubernetes takes them: a colon within a plain scalar is a part of it
(`[2001:db8::1, ::1, a:b]`). libyaml reads YAML 1.1, where it is not; texts that it refuses for that are read again with
this scanner, which is PyYAML's own in Python.

https://yaml.org/spec/1.2.2/#733-plain-style
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

MAX_TEXT: Final = 1024 * 1024  # it is ten times slower than libyaml

_BLANK: Final = "\0 \t\r\n\x85\u2028\u2029"
_FLOW: Final = ",[]{}"
_INDICATORS: Final = _BLANK + "-?:,[]{}#&*!|>'\"%@`"


class Loader(yaml.SafeLoader):
    """PyYAML's own scanner, and what ends a plain scalar as Go's has it."""

    def check_value(self) -> bool:
        if not self.flow_level:
            return self.peek(1) in _BLANK
        # After a quoted scalar or a collection the value may follow at once, as in JSON.
        return self.peek(1) in _BLANK + _FLOW or self.buffer[self.pointer - 1] in "\"'}]"

    def check_plain(self) -> bool:
        first, second = self.peek(), self.peek(1)
        if first not in _INDICATORS:
            return True
        return first in "-?:" and second not in _BLANK and not (self.flow_level and second in _FLOW)

    def scan_plain(self) -> Any:
        """A plain scalar, over several lines if need be. PyYAML's own, but for what ends it."""
        chunks: list[str] = []
        start, end = self.get_mark(), self.get_mark()
        spaces: list[Any] = []
        while self.peek() != "#":
            length = 0
            while not self._ends_plain(length):
                length += 1
            if length == 0:
                break
            self.allow_simple_key = False
            chunks += [*spaces, self.prefix(length)]
            self.forward(length)
            end = self.get_mark()
            spaces = self.scan_plain_spaces(self.indent + 1, start) or []
            if not spaces or self.peek() == "#" or (not self.flow_level and self.column < self.indent + 1):
                break
        return yaml.ScalarToken("".join(chunks), True, start, end)

    def _ends_plain(self, at: int) -> bool:
        char = self.peek(at)
        if char in _BLANK or (self.flow_level and char in _FLOW):
            return True
        return char == ":" and self.peek(at + 1) in _BLANK  # as in Go, and so in Kubernetes: in flow collections, too


def flow_events(text: str) -> Iterator[Any]:
    """The events of a text, flow collections read as in YAML 1.2."""
    yield from yaml.parse(text, Loader=Loader)


def worth_another_look(text: str, error: yaml.YAMLError) -> bool:
    """Whether what libyaml refused may be a flow collection of YAML 1.2."""
    return len(text) <= MAX_TEXT and isinstance(error, yaml.MarkedYAMLError) and ":" in text and _in_flow(error)


def _in_flow(error: yaml.MarkedYAMLError) -> bool:
    words = f"{error.context} {error.problem}"
    return "flow" in words or "unexpected ':'" in words or "plain scalar" in words
