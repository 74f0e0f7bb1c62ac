"""Compose files as plain data: YAML 1.2's scalars in (`22:22` is a text, `on` too), and quoted for any reader out."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from mesh.errors import ConfigError, Problem

Document = dict[str, Any]
_TAG: Final = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """PyYAML's, without what only YAML 1.1 takes for numbers, times and truths: https://yaml.org/spec/1.2.2/#103-core-schema."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile("^(?:<<)$"), ["<"])
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile("^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"^[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789")
)


class _Dumper(yaml.SafeDumper):
    """Without aliases: a reader of the result should see what each service is."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def load(text: str, name: str) -> Document:
    """ConfigError, with file and line, for what is no compose file."""
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        raise ConfigError(Problem(str(getattr(error, "problem", None) or error), file=name, line=line)) from error
    if not isinstance(data, dict) or not isinstance(data.get("services"), dict) or not data["services"]:
        raise ConfigError(Problem("expected a compose file: a mapping with `services`", file=name))
    for service, fields in data["services"].items():
        if not isinstance(fields, dict):
            raise ConfigError(Problem(f"services.{service}: expected a mapping", file=name))
    return data


def dump(document: Document, comment: str = "") -> str:
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
