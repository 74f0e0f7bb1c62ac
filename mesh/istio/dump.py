"""Documents → YAML that `load` reads back as the same documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from mesh.istio.schema import normalise
from mesh.istio.yaml_scalars import reads_as_string


class _Dumper(yaml.SafeDumper):
    """PyYAML quotes what YAML 1.1 would not read as a string; `load` reads other words and numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # The emitter itself falls back to quotes for what a block or a plain scalar cannot hold.
    style = "|" if "\n" in text else None if reads_as_string(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _string)


def dump(document: Mapping[str, Any]) -> str:
    """One document, its keys in alphabetical order, without a `---`."""
    return dump_data(normalise(document))


def dump_data(data: Any) -> str:
    """Any plain data, as it is, without a `---`."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text
