"""analyze: what the configuration says and cannot do, of files by themselves or of a running mesh. As istioctl's."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import USAGE, CliError
from mesh.cli.files import read_files
from mesh.cli.options import DEFAULT_SERVER, Namespace, Recursive, Server
from mesh.cli.output import BOLD_RED, GREEN, YELLOW, coloured, print_table

FOUND: Final = 79  # istioctl's exit code for "the analyzers found issues", for CI
_LEVELS: Final = ("Info", "Warning", "Error")
_COLOURS: Final = {"Info": GREEN, "Warning": YELLOW, "Error": BOLD_RED}
_PUBLIC: Final = ("code", "documentationUrl", "level", "message", "origin", "reference")

Found = Mapping[str, Any]


class Form(StrEnum):
    LOG = "log"
    JSON = "json"
    YAML = "yaml"


class Threshold(StrEnum):
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


_FILES: Final = "A file, a folder, or - for standard input. Repeatable."


def analyze(
    names: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="As -f.")] = None,
    files: Annotated[list[str] | None, typer.Option("--file", "-f", metavar="FILE", help=_FILES)] = None,
    live: Annotated[bool, typer.Option("--live", help="The running mesh, as if the files were applied to it.")] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print.")] = Form.LOG,
    suppress: Annotated[
        list[str] | None,
        typer.Option(
            "--suppress", "-S", metavar="CODE=RESOURCE", help="Not this: IST0103=Service *.default. Repeatable."
        ),
    ] = None,
    failure_threshold: Annotated[
        Threshold, typer.Option("--failure-threshold", help="From which level on to fail.")
    ] = Threshold.ERROR,
    output_threshold: Annotated[
        Threshold, typer.Option("--output-threshold", help="From which level on to print.")
    ] = Threshold.INFO,
    list_analyzers: Annotated[bool, typer.Option("--list-analyzers", "-L", help="Show what is looked for.")] = False,
    namespace: Namespace = "",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="All of them, as without --namespace.")
    ] = False,
    recursive: Recursive = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Find what the configuration says and cannot do: names of what is not there, rules that are never reached, conflicts.

    Files are looked at by themselves; with --live, or without files, the running mesh is. Codes, levels and words are
    Istio's, codes of this mesh's own are MESH…; docs/analyze.md explains them. A resource can carry an annotation
    galley.istio.io/analyze-suppress: "IST0102,IST0103" (or "*").

    With -o log: exit code 79 when anything of --failure-threshold is found (0 otherwise); other forms
    are data, and leave the judgement to their reader.

    \b
      mesh analyze -f networking/ -R
      mesh analyze
      mesh analyze --live -f new-route.yaml
    """
    if list_analyzers:
        _list()
        return
    asked = [*(names or ()), *(files or ())]
    hidden = suppress or []
    _check(hidden)
    texts = read_files(asked, recursive) if asked else []
    findings = _of_mesh(server, texts, hidden) if live or not asked else _of_files(texts, hidden)
    if namespace and not all_namespaces:
        findings = [each for each in findings if _namespace(each) in ("", namespace)]
    shown = [each for each in findings if _at_least(each, output_threshold)]
    _print(shown, output)
    if output is not Form.LOG:
        return
    what = ", ".join(asked) if asked else "the running mesh"
    if not shown:
        print(f"✔ No validation issues found when analyzing {what}.", file=sys.stderr)
    if any(_at_least(each, failure_threshold) for each in findings):
        raise CliError(
            f"analyzers found issues when analyzing {what}",
            "what each code means: docs/analyze.md",
            code=FOUND,
        )


def _of_files(texts: Sequence[Mapping[str, str]], suppress: Sequence[str]) -> list[Found]:
    """The analysis is the control plane's; without one it runs here."""
    from control_plane.analysis.finding import as_json
    from control_plane.analysis.suppress import Suppression
    from control_plane.analysis.texts import Text, analyse_texts

    files = [Text(each["name"], each["text"]) for each in texts]
    findings, read = analyse_texts(files, [Suppression.parse(word) for word in suppress])
    _notes([{"file": note.file, "line": note.line, "message": note.message} for note in read.skipped])
    return [as_json(each) for each in findings]


def _of_mesh(server: str, texts: Sequence[Mapping[str, str]], suppress: Sequence[str]) -> list[Found]:
    from mesh.cli.watching import everybody
    from mesh.observe.calls import calls

    answer = ControlPlane(server).analyze(texts, suppress, calls(everybody(server)))
    _notes(answer["skipped"])
    found: list[Found] = answer["findings"]
    return found


def _check(suppress: Sequence[str]) -> None:
    from control_plane.analysis.codes import CODES
    from control_plane.analysis.suppress import Suppression
    from mesh.errors import MeshError

    for word in suppress:
        try:
            code = Suppression.parse(word).code
        except MeshError as error:
            raise CliError(f"--suppress {error}", code=USAGE) from error
        if code not in CODES:
            print(
                f"warning: {code} is no code that is looked for (mesh analyze -L): nothing is suppressed",
                file=sys.stderr,
            )


def _notes(skipped: Sequence[Mapping[str, Any]]) -> None:
    for note in skipped:
        place = f"{note['file']}:{note['line']}" if note["line"] else note["file"]
        print(f"note: {place}: {note['message']}", file=sys.stderr)


def _namespace(found: Found) -> str:
    """Of the resource that it is about (`VirtualService shop/reviews`); nothing for a text that is none."""
    return str(found["origin"]).rpartition(" ")[2].rpartition("/")[0]


def _at_least(found: Found, threshold: Threshold) -> bool:
    return _LEVELS.index(found["level"]) >= _LEVELS.index(threshold.value)


def _print(findings: Sequence[Found], output: Form) -> None:
    if output is Form.LOG:
        for found in findings:
            place = " ".join(word for word in (found["origin"], found["reference"]) if word)
            level = coloured(found["level"], _COLOURS[found["level"]])
            print(f"{level} [{found['code']}]{f' ({place})' if place else ''} {found['message']}")
        return
    rows = [{name: found[name] for name in _PUBLIC if found[name]} for found in findings]
    if output is Form.JSON:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    import yaml

    print(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True), end="")


def _list() -> None:
    from control_plane.analysis.codes import CODES

    rows = [[code.number, code.level.word, code.name] for code in sorted(CODES.values(), key=lambda each: each.number)]
    print_table(["CODE", "LEVEL", "NAME"], rows)
