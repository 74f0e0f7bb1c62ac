"""What is supported, as a table: made by reading `everything.yaml` with readers that write down what they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, ClassVar, Final

from sidecar.bootstrap import read_bootstrap
from sidecar.config.document import Document
from sidecar.config.no_effect import REASONS
from sidecar.config.reader import Reader, T, shown

_FILE: Final = "everything.yaml"


@dataclass(slots=True)
class Supported:
    """One message type: its fields that are read, with a remark where only some values are."""

    fields: dict[str, str] = field(default_factory=dict)


class RecordingReader(Reader):
    """Writes down every field that a compiler asks for, whether it is set or not."""

    __slots__ = ()
    found: ClassVar[dict[str, Supported]] = {}

    def _note(self, name: str, remark: str = "") -> None:
        self.found.setdefault(self.type, Supported()).fields.setdefault(name, remark)

    def _take(self, name: str) -> Any:
        self._note(name)
        return super()._take(name)

    def _intern(
        self, message: Any, name: str, index: int | None, compiler: Callable[..., T], context: tuple[Any, ...]
    ) -> T:
        """Everything is asked for again."""
        return compiler(type(self)(message, name, self, index), *context)

    def one_of(self, *names: str) -> str:
        for name in names:
            self._note(name)
        return super().one_of(*names)

    def only(self, name: str, *accepted: Any, why: str = "") -> None:
        self._note(name, "only " + ", ".join(map(shown, accepted)))
        super().only(name, *accepted, why=why)

    def word(self, name: str, *accepted: str) -> str:
        self._note(name, "only " + ", ".join(accepted))
        return super().word(name, *accepted)

    def refuse(self, field: str, why: str = "is not implemented") -> None:
        """A refusal is no support."""
        if self.has(field):
            super().refuse(field, why)


def documents() -> list[str]:
    """The bootstraps of `everything.yaml`, as text."""
    text = resources.files("sidecar.config").joinpath(_FILE).read_text(encoding="utf-8")
    return text.split("---\n")


def supported() -> dict[str, Supported]:
    """By message type."""
    from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap

    RecordingReader.found.clear()
    for text in documents():
        reader = RecordingReader(Document(text, _FILE).parse(Bootstrap()))
        read_bootstrap(reader)
        reader.finish()
    return dict(RecordingReader.found)


def markdown() -> Iterator[str]:
    """The table, line by line."""
    found = supported()
    yield "# Supported configuration"
    yield ""
    yield "Envoy's messages and the fields of them that are implemented. Any other field is refused when it is set."
    yield "*No effect* marks fields that are accepted and change nothing here."
    for name in sorted(found.keys() | REASONS.keys()):
        yield ""
        yield f"## {name}"
        yield ""
        yield "| field | remark |"
        yield "|---|---|"
        rows = dict(found[name].fields) if name in found else {}
        rows |= {each: f"no effect: {reason}" for each, reason in REASONS.get(name, {}).items()}
        for each in sorted(rows):
            yield f"| `{each}` | {rows[each]} |"
