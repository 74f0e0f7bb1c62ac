"""status: how each resource is, and what is to be said of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.cli.kinds import ALL, parse_target
from mesh.cli.options import DEFAULT_SERVER, Namespace, Output, Server
from mesh.cli.output import Format, age, print_data, print_table

WIDTH: Final = 80
_WORDS: Final = 15  # the column of the words that say what a fact is about

Item = Mapping[str, Any]


def status(
    target: Annotated[list[str], typer.Argument(metavar="[KIND [NAME]]", help="As `mesh get`; all without.")] = [ALL],  # noqa: B006
    namespace: Namespace = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show how resources are: in effect on n of m proxies, shadowed by another, in conflict, rejected by a proxy and why.

    One resource by name is shown with everything that is to be said of it. Exit code 1 when a proxy rejected something.

    \b
      mesh status
      mesh status vs reviews
    """
    kind, name = parse_target(target)
    items = ControlPlane(server).status(kind, namespace, name)
    if name and not items:
        raise CliError(f"there is no {kind} {name}", f"what there is: mesh get {kind.lower()}")
    if output is not Format.TABLE:
        print_data(items, output)
    elif name:
        print("\n\n".join("\n".join(_lines(item)) for item in items))
    else:
        rows = [[item["kind"], item["name"], item["namespace"], item["summary"], _remarks(item)] for item in items]
        print_table(["KIND", "NAME", "NAMESPACE", "STATUS", "REMARKS"], rows, nothing=f"no {kind or 'resources'} found")
    if refused := [line for item in items for line in _refusals(item)]:
        raise CliError("a proxy rejected what was made of a resource, and goes on with what it had", *refused)


def _remarks(item: Item) -> str:
    return ", ".join(dict.fromkeys(found["code"] for found in item["findings"])) or "-"


def _lines(item: Item) -> Iterator[str]:
    """Everything that is known of one resource."""
    yield f"{item['kind']} {item['namespace']}/{item['name']}"
    yield _line("accepted", f"{age(item['created'])} ago, revision {item['revision']}")
    for problem in item["problems"]:
        yield _line("but", f"not understood by this version: {problem}")
    if item["concerned"]:
        yield _line("in effect", f"on {item['in_effect']} of {item['concerned']} proxies that it concerns")
    else:
        yield _line("in effect", "on no connected proxy: it concerns none")
    yield from _list("waiting for", [_short(proxy) for proxy in item["waiting"]])
    yield from _list("shadowed by", item["shadowed_by"])
    yield from _list("conflicts", item["conflicts_with"])
    for refusal in _refusals(item):
        yield _line("rejected by", refusal)
    for found in item["findings"]:
        yield _line(found["level"].lower(), f"[{found['code']}] {found['field']}: {found['message']}")


def _list(word: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        yield _line(word, ", ".join(values))


def _line(word: str, text: str) -> str:
    """A fact in lines that fit, under one another."""
    found = textwrap.wrap(text, WIDTH - _WORDS, break_on_hyphens=False, break_long_words=False) or [""]
    return f"\n{' ' * _WORDS}".join([f"  {word:12} {found[0]}", *found[1:]])


def _refusals(item: Item) -> list[str]:
    return [f"{_short(n['proxy'])}: {n['type']} {n['resource']}: {n['message']}" for n in item["rejected"]]


def _short(proxy: str) -> str:
    """NAME.NAMESPACE of a proxy's id."""
    parts = proxy.split("~")
    return parts[2] if len(parts) == 4 else proxy
