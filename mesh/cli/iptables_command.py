"""iptables: the rules that send an app's traffic through its sidecar without the app knowing. Named as Istio's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.naming import HEALTH_PORT, INBOUND_PORT, MERGED_PORT, OUTBOUND_PORT, PROMETHEUS_PORT

PROXY_UID = 1337
INBOUND, IN_REDIRECT = "ISTIO_INBOUND", "ISTIO_IN_REDIRECT"
OUTPUT, REDIRECT = "ISTIO_OUTPUT", "ISTIO_REDIRECT"
CHAINS = (INBOUND, IN_REDIRECT, OUTPUT, REDIRECT)
JUMPS = (("PREROUTING", INBOUND), ("OUTPUT", OUTPUT))
LOCK_SECONDS = "10"  # other programs change the table, too
RUN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Capture:
    """What is captured: everything over TCP, except the proxy's own traffic, loopback, and what is excluded."""

    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    uid: int = PROXY_UID
    exclude_inbound: tuple[int, ...] = (PROMETHEUS_PORT, HEALTH_PORT, MERGED_PORT)
    exclude_outbound: tuple[int, ...] = ()
    exclude_cidrs: tuple[str, ...] = ()


def rules(capture: Capture) -> list[str]:
    """The rules of our own chains, in order."""
    out = [f"-A {OUTPUT} -p tcp --dport {port} -j RETURN" for port in capture.exclude_outbound]
    out += [f"-A {OUTPUT} -d {cidr} -j RETURN" for cidr in capture.exclude_cidrs]
    return [
        f"-A {IN_REDIRECT} -p tcp -j REDIRECT --to-ports {capture.inbound_port}",
        f"-A {REDIRECT} -p tcp -j REDIRECT --to-ports {capture.outbound_port}",
        *(f"-A {INBOUND} -p tcp --dport {port} -j RETURN" for port in capture.exclude_inbound),
        f"-A {INBOUND} -p tcp -j {IN_REDIRECT}",
        *out,
        f"-A {OUTPUT} -m owner --uid-owner {capture.uid} -j RETURN",
        f"-A {OUTPUT} -m owner --gid-owner {capture.uid} -j RETURN",
        f"-A {OUTPUT} -d 127.0.0.0/8 -j RETURN",
        f"-A {OUTPUT} -j {REDIRECT}",
    ]


def restore_input(capture: Capture) -> str:
    """For `iptables-restore --noflush`: naming a chain makes it, or empties it; all at once, no other is touched."""
    declared = [f":{chain} - [0:0]" for chain in CHAINS]
    return "\n".join(["*nat", *declared, *rules(capture), "COMMIT", ""])


def setup_script(capture: Capture) -> str:
    """A shell script that may run any number of times."""
    jumps = [f"{_jump('-C', *jump)} 2>/dev/null || {_jump('-A', *jump)}" for jump in JUMPS]
    restore = f"iptables-restore -w {LOCK_SECONDS} --noflush <<'RULES'\n{restore_input(capture)}RULES"
    return "\n".join([restore, *jumps, ""])


def clean_script() -> str:
    lines = [f"while {_jump('-D', *jump)} 2>/dev/null; do :; done" for jump in JUMPS]
    for action in ("-F", "-X"):
        lines += [f"{_iptables(action, chain)} 2>/dev/null || true" for chain in CHAINS]
    return "\n".join([*lines, ""])


def _iptables(*words: str) -> str:
    return " ".join(("iptables", "-w", LOCK_SECONDS, "-t", "nat", *words))


def _jump(action: str, chain: str, target: str) -> str:
    return _iptables(action, chain, "-p", "tcp", "-j", target)


def iptables(
    apply: Annotated[bool, typer.Option("--apply", help="Set the rules (needs root), do not print them.")] = False,
    clean: Annotated[bool, typer.Option("--clean", help="The way back: our chains and the jumps to them go.")] = False,
    outbound_port: Annotated[
        int, typer.Option("--outbound-port", "-p", help="Where outbound traffic goes.")
    ] = OUTBOUND_PORT,
    inbound_port: Annotated[
        int, typer.Option("--inbound-port", "-z", help="Where inbound traffic goes.")
    ] = INBOUND_PORT,
    uid: Annotated[int, typer.Option("--uid", "-u", help="The proxy's user (and group): not captured.")] = PROXY_UID,
    exclude_inbound: Annotated[
        str, typer.Option("--exclude-inbound-ports", "-d", metavar="PORTS", help="Not captured, comma-separated.")
    ] = f"{PROMETHEUS_PORT},{HEALTH_PORT},{MERGED_PORT}",
    exclude_outbound: Annotated[
        str, typer.Option("--exclude-outbound-ports", "-o", metavar="PORTS", help="Not captured, comma-separated.")
    ] = "",
    exclude_cidrs: Annotated[
        str, typer.Option("--exclude-outbound-cidrs", "-x", metavar="CIDRS", help="Not captured, comma-separated.")
    ] = "",
) -> None:
    """Print the iptables rules of transparent interception as a shell script; --apply sets them, --clean removes them.

    Only chains named ISTIO_… and one jump to them in PREROUTING and OUTPUT are touched. Applying it again is fine.
    """
    capture = Capture(
        outbound_port, inbound_port, uid, _ports(exclude_inbound), _ports(exclude_outbound), _words(exclude_cidrs)
    )
    script = clean_script() if clean else setup_script(capture)
    if apply:
        run_script(script)
    else:
        print(script, end="")


def run_script(script: str) -> None:
    """Runs it as root; CliError with what iptables said when it fails."""
    if os.geteuid() != 0:
        raise CliError(
            "setting iptables rules needs root", "sudo mesh iptables --apply", "or look first: mesh iptables"
        )
    if shutil.which("iptables-restore") is None:
        raise CliError("there is no iptables on this machine", "Debian, Ubuntu: apt-get install iptables")
    done = subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, timeout=RUN_SECONDS)
    if done.returncode:
        raise CliError("iptables refused the rules", *done.stderr.strip().splitlines())


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _ports(text: str) -> tuple[int, ...]:
    words: Sequence[str] = _words(text)
    if not all(word.isdigit() and 0 < int(word) < 65536 for word in words):
        raise CliError(f"expected ports, separated by commas, got {text!r}", code=USAGE)
    return tuple(int(word) for word in words)
