"""apply, diff, delete, get, history, rollback: the configuration that the control plane keeps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import FAILED, USAGE, CliError, RefusedError
from mesh.cli.files import read_files
from mesh.cli.kinds import ALL, parse_target
from mesh.cli.options import (
    DEFAULT_NAMESPACE,
    DEFAULT_SERVER,
    Files,
    Namespace,
    Output,
    Recursive,
    Server,
    Wait,
    WaitSeconds,
)
from mesh.cli.output import Format, age, print_data, print_diff, print_table
from mesh.istio.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

WAIT_SECONDS = 10.0
DIFF_FAILED = 2  # as kubectl's and diff's: 1 means that there are differences

_SHORT = ", ".join(each.short[0] for each in KINDS.values() if each.short and not each.note)
Target = Annotated[list[str], typer.Argument(metavar="KIND [NAME]", help=f"As kubectl: {_SHORT}, or all.")]


def apply(
    files: Files,
    wait: Wait = False,
    timeout: WaitSeconds = WAIT_SECONDS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only; change nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what is warned of, too.")] = False,
    skip_unknown: Annotated[
        bool,
        typer.Option(
            "--skip-unknown", help="Pass over kinds that are none of Istio's or this mesh's, and other files."
        ),
    ] = False,
    recursive: Recursive = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Make the mesh follow these files. All of them, or none if one has an error.

    What is accepted and cannot act (a host, a subset or a gateway that is not there, a rule that is never reached) is
    warned of, with its place and Istio's code.

    \b
      mesh apply -f examples/bookinfo/networking/reviews-90-10.yaml --wait
      cat route.yaml | mesh apply -f -
    """
    plane = ControlPlane(server)
    answer = _sent(
        lambda: plane.apply(read_files(files, recursive), dry_run=dry_run, strict=strict, skip_unknown=skip_unknown)
    )
    print_notes(answer)
    _print_results(answer, " (dry run: nothing changed)" if dry_run else "")
    if wait and not dry_run:
        wait_for(plane, answer["revision"], timeout)


def diff(files: Files, recursive: Recursive = False, server: Server = DEFAULT_SERVER) -> None:
    """Show what `apply` would change. Exit code 0: nothing, 1: something, 2: it would be refused."""
    try:
        diffs = ControlPlane(server).diff(read_files(files, recursive))
    except RefusedError as error:
        error.code = DIFF_FAILED
        raise
    changed = [entry["diff"] for entry in diffs if entry["diff"]]
    for text in changed:
        print_diff(text)
    raise typer.Exit(1 if changed else 0)


def delete(
    target: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND NAME]", help="What to delete: vs reviews.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--file", "-f", metavar="FILE", help="Delete what is in it.")
    ] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
    wait: Wait = False,
    timeout: WaitSeconds = WAIT_SECONDS,
    recursive: Recursive = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Take resources out of the mesh: `mesh delete vs reviews`, or `mesh delete -f FILE`."""
    plane = ControlPlane(server)
    if files and not target:
        answer = plane.delete_files(read_files(files, recursive))
    elif target and not files:
        kind, name = parse_target(target)
        if not kind or not name:
            raise CliError("name one resource: mesh delete KIND NAME", "or a file: mesh delete -f FILE", code=USAGE)
        answer = plane.delete(kind, namespace, name)
    else:
        raise CliError("name either KIND NAME or -f FILE", code=USAGE)
    _print_results(answer)
    if wait:
        wait_for(plane, answer["revision"], timeout)


def get(
    target: Target = [ALL],  # noqa: B006  (typer copies it)
    namespace: Namespace = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show resources, of all namespaces unless one is named, and where each is in effect (`mesh status` says more).

    \b
      mesh get vs
      mesh get dr reviews -o yaml
    """
    kind, name = parse_target(target)
    plane = ControlPlane(server)
    items = plane.resources(kind, namespace, name)
    if name and not items:
        place = f" in namespace {namespace}" if namespace else ""
        raise CliError(f"there is no {kind} {name}{place}", f"what there is: mesh get {kind.lower()}")
    if output is not Format.TABLE:
        documents = [item["document"] for item in items]
        print_data(documents[0] if name and len(documents) == 1 else documents, output)
        return
    known = plane.status(kind, namespace, name)
    status = {(each["kind"], each["namespace"], each["name"]): each["summary"] for each in known}
    rows = [_row(item, status, with_kind=not kind) for item in items]
    headings = [*(() if kind else ("KIND",)), "NAME", "NAMESPACE", "SUMMARY", "STATUS", "REVISION", "AGE"]
    print_table(headings, rows, nothing=f"no {kind or 'resources'} found", dispensable=("AGE", "REVISION"))


def history(
    target: Target = [ALL],  # noqa: B006
    namespace: Namespace = "",
    limit: Annotated[int, typer.Option("--limit", "-l", metavar="N", min=1, help="How many changes.")] = 20,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show the changes of the configuration, newest first; `mesh rollback REVISION` goes back to one."""
    kind, name = parse_target(target)
    items = ControlPlane(server).history(kind, namespace, name, limit)
    if output is not Format.TABLE:
        print_data(items, output)
        return
    rows = [
        [str(item["revision"]), age(item["time"]), item["action"], item["kind"], item["name"], item["namespace"]]
        for item in items
    ]
    print_table(["REVISION", "AGE", "ACTION", "KIND", "NAME", "NAMESPACE"], rows, nothing="no changes yet")


def rollback(
    revision: Annotated[int, typer.Argument(metavar="REVISION", help="As `mesh history` shows it.", min=0)],
    wait: Wait = False,
    timeout: WaitSeconds = WAIT_SECONDS,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Bring the whole configuration back to what it was at a revision. That is a change, too: it can be undone."""
    plane = ControlPlane(server)
    answer = plane.rollback(revision)
    _print_results(answer)
    if wait:
        wait_for(plane, answer["revision"], timeout)


def wait_for(plane: ControlPlane, revision: int, timeout: float) -> None:
    """Waits for the proxies and prints how long they took; CliError when one refuses or the time is over."""
    answer = plane.convergence(revision, timeout)
    state, affected, acked = answer["state"], answer["affected"], answer["acked"]
    if state == "nacked":
        problems = [
            f"{nack['proxy']}: {nack['type']} {nack['resource']}: {nack['message']}" for nack in answer["nacks"]
        ]
        raise RefusedError(
            f"revision {revision} was refused by a proxy, which goes on with what it had",
            problems,
            "back to the last state: mesh history, mesh rollback REVISION",
        )
    if state != "converged":
        raise CliError(
            f"{acked} of {affected} proxies have revision {revision} after {timeout:g} s",
            "who is behind: mesh proxy-status",
            code=FAILED,
        )
    if affected:
        spread = f" (p50 {answer['p50']:.2f} s, p99 {answer['p99']:.2f} s)" if affected > 1 and "p50" in answer else ""
        print(f"in effect on {acked} of {affected} proxies after {answer['seconds']:.2f} s{spread}")
    else:
        print("in effect: no connected proxy is concerned")


def _sent(send: Any) -> Any:
    try:
        return send()
    except RefusedError as error:
        raise RefusedError("refused, and nothing was changed", error.problems) from error


def print_notes(answer: Mapping[str, Any]) -> None:
    """What was passed over, and what the analysis has to say, each with its place, on standard error."""
    for note in answer.get("skipped", []):
        print(f"note: {note['file']}:{note['line']}: {note['message']}", file=sys.stderr)
    for found in answer.get("findings", []):
        place = f"{found['file']}:{found['line']}: " if found["file"] else f"{found['kind']}/{found['resource']}: "
        print(
            f"{found['level'].lower()}: {place}{found['field']}: [{found['code']}] {found['message']}", file=sys.stderr
        )


def _print_results(answer: Mapping[str, Any], note: str = "") -> None:
    for result in answer["results"]:
        place = "" if result["namespace"] == DEFAULT_NAMESPACE else f" in namespace {result['namespace']}"
        said = f" ({result['note']})" if "note" in result else ""
        print(f"{result['kind'].lower()}/{result['name']}{place} {result['action']}{said}{note}")
    if not answer["results"]:
        print("nothing to do")


def _condition(document: Mapping[str, Any]) -> str:
    """What the probe of a workload says that made the resource by connecting."""
    for each in (document.get("status") or {}).get("conditions", []):
        if each.get("type") == "Healthy":
            return "healthy" if each.get("status") == "True" else "unhealthy"
    return "-"


def _row(item: Mapping[str, Any], status: Mapping[tuple[str, str, str], str], with_kind: bool) -> list[str]:
    document = item["document"]
    metadata = document.get("metadata", {})
    kind, name, namespace = (
        document.get("kind", ""),
        metadata.get("name", ""),
        metadata.get("namespace", DEFAULT_NAMESPACE),
    )
    return [
        *((kind,) if with_kind else ()),
        name,
        namespace,
        KINDS[kind].summary(document.get("spec", document)) if kind in KINDS else "",
        status.get((kind, namespace, name)) or _condition(document),
        str(item["revision"] or "-"),  # none has one that a workload has made by connecting
        age(item["created"]),
    ]
