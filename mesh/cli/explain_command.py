"""explain: what would become of a request, and why, station by station."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import USAGE, CliError
from mesh.cli.files import read_files
from mesh.cli.live_proxy import behind, configuration, find_proxy, host_states, resources_of
from mesh.cli.options import DEFAULT_NAMESPACE, DEFAULT_SERVER, Output, Recursive, Server
from mesh.cli.output import Format, print_data

if TYPE_CHECKING:
    from mesh.explain.steps import Explanation
    from mesh.istio.resource import Resource
    from sidecar.explain.given import Call

WIDTH = 80
GATEWAY = "istio-ingressgateway"

Asked = Annotated[
    list[str], typer.Argument(metavar="[METHOD] URL", help="What the client asks: GET http://reviews:9080/x.")
]
Header = Annotated[
    list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A header of it. Repeatable.")
]


def explain(
    asked: Asked,
    headers: Header = None,
    caller: Annotated[
        str, typer.Option("--from", metavar="SERVICE[:VERSION]", help="Who asks: a service, or a proxy by its name.")
    ] = "",
    gateway: Annotated[bool, typer.Option("--gateway", help="It comes in from outside, through a gateway.")] = False,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", metavar="FILE", help="With these files, and no running mesh. Repeatable."),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NAME", help="Whose namespace (with -f).")
    ] = DEFAULT_NAMESPACE,
    redirected: Annotated[
        bool, typer.Option("--redirected", help="With -f: connections come to the proxy by iptables.")
    ] = False,
    recursive: Recursive = False,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Explain what becomes of a request: listener, virtual host, each rule tried and the condition that failed, clusters
    and their weights, policies, endpoints; and which resource says so.

    Decided by the sidecar's own reader and matcher, on what the control plane gives this proxy; with -f, on what it would
    give it if there were these files and nothing else. No request is sent.

    \b
      mesh explain GET http://reviews:9080/reviews/0 -H 'end-user: jason' --from productpage
      mesh explain http://reviews:9080/ --from productpage -f examples/bookinfo/networking/reviews-jason-v2.yaml
      mesh explain http://127.0.0.1:8080/productpage --gateway
    """
    from mesh.explain.steps import as_json
    from mesh.explain.view import text

    call = call_of(asked, headers or ())
    if not caller and not gateway:
        raise CliError("who asks? --from SERVICE, or --gateway for a request from outside", code=USAGE)
    if files:
        found = _offline(call, caller, gateway, namespace, redirected, read_files(files, recursive))
    else:
        found = _live(ControlPlane(server), call, caller, gateway)
    if output is not Format.TABLE:
        print_data(as_json(found), output)
        return
    print("\n".join(text(found, WIDTH)))


def call_of(asked: Sequence[str], headers: Sequence[str]) -> Call:
    """`GET http://host/path` and `name: value`s as a call. CliError (usage) when it is none."""
    from sidecar.explain.given import Call

    if len(asked) > 2:
        raise CliError(f"expected [METHOD] URL, not {' '.join(asked)}", code=USAGE)
    method, url = asked if len(asked) == 2 else ("GET", asked[0])
    if "://" in method or not method.isalpha():
        raise CliError(f"{method} is no method; expected [METHOD] URL: GET http://reviews:9080/x", code=USAGE)
    return Call(method.upper(), url if "://" in url else f"http://{url}", tuple(_header(each) for each in headers))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or " " in name.strip():
        raise CliError(f"-H {text!r}: expected NAME: VALUE", code=USAGE)
    return name.strip(), value.strip()


# ── on paper ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _offline(
    call: Call, caller: str, gateway: bool, namespace: str, redirected: bool, files: Sequence[Mapping[str, str]]
) -> Explanation:
    from dataclasses import replace

    from control_plane.preview import Client, preview
    from mesh.explain.origins import Origins
    from sidecar.config.model import Address
    from sidecar.explain.given import Given
    from sidecar.explain.way import explain

    service, _, version = caller.partition(":")
    client = Client(service or GATEWAY, namespace, version, gateway, redirected)
    resources = _loaded(files)
    shown = preview(resources, client, call.host, call.port)
    if shown.stranger:
        who = f"gateway {client.name}" if gateway else f"service or workload {service} in {namespace}"
        print(f"note: no file declares a {who}: the caller is taken to be there", file=sys.stderr)
    for host in shown.assumed:
        print(f"note: no file declares {host}: taken to be there", file=sys.stderr)
    if redirected and (address := shown.virtual_address(call.host)):
        call = replace(call, destination=Address(address, call.port))
    return Origins(resources).looked_up(explain(Given(shown.messages, on_paper=True), call))


def _loaded(files: Sequence[Mapping[str, str]]) -> list[Resource]:
    from mesh.istio.load import load_text

    found: list[Resource] = []
    for each in files:
        loaded = load_text(each["text"], each["name"], skip_unknown=True)
        found += loaded.resources
        for note in loaded.skipped:
            print(f"note: {note}", file=sys.stderr)
    return found


# ── live ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _live(plane: ControlPlane, call: Call, caller: str, gateway: bool) -> Explanation:
    proxy = find_proxy(plane, caller, gateway)
    for note in behind(proxy):
        print(f"note: {note}", file=sys.stderr)
    print(f"as {proxy['name']} ({proxy['address']}) does it", file=sys.stderr)
    return explained(plane, proxy, call)


def explained(plane: ControlPlane, proxy: Mapping[str, Any], call: Call) -> Explanation:
    """What a running proxy does with a call, with what it says of its endpoints and the places in what is stored."""
    from mesh.explain.origins import Origins, key_of
    from sidecar.explain.given import Given
    from sidecar.explain.way import explain

    messages = configuration(plane, proxy)
    found = explain(Given(messages), call)
    names = [name for name, _ in found.clusters]
    states, silent = host_states(proxy, names) if names else ({}, "")
    if silent:
        print(f"note: endpoints as the control plane knows them: {proxy['name']}: {silent}", file=sys.stderr)
    elif names:
        found = explain(Given(messages, states), call)
    keys = (key_of(step.source.config) for step in found.all() if step.source is not None)
    return Origins(resources_of(plane, filter(None, keys))).looked_up(found)
