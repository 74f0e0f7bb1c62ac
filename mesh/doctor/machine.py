"""The machine: ports, addresses, names, limits, tools, and what an earlier mesh has left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from mesh.doctor.check import Check, fail, ok, warn
from mesh.doctor.facts import Facts
from mesh.naming import CONSOLE_PORT, CONTROL_METRICS_PORT, XDS_PORT

PLANE_PORTS: Final = {XDS_PORT: "xDS", CONTROL_METRICS_PORT: "metrics", CONSOLE_PORT: "HTTP API"}
LEAST_DESCRIPTORS: Final = 1024  # two a request in flight, and some of its own
PROXY_WORDS: Final = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_LOCAL: Final = ("127.0.0.1", "localhost", "127.0.0.0/8", "*")


def checks(facts: Facts, plane_answers: bool) -> Iterator[Check]:
    """`plane_answers` says whether a control plane was found: its ports are to be taken then."""
    if not plane_answers:
        yield _ports(facts.taken)
    yield _proxies(facts.environment)
    yield _loopback(facts.loopback)
    yield _localhost(facts.localhost)
    yield _descriptors(facts.descriptors)
    yield _interception(facts, plane_answers)
    yield _docker(facts.docker)


def _ports(taken: Sequence[int]) -> Check:
    ours = [port for port in PLANE_PORTS if port in taken]
    if not ours:
        return ok("ports", f"{', '.join(map(str, PLANE_PORTS))} are free for a control plane")
    named = ", ".join(f"{port} ({PLANE_PORTS[port]})" for port in ours)
    return fail(
        "ports",
        f"taken by something that is no control plane: {named}",
        f"end it (ss -ltnp 'sport = :{ours[0]}' shows it), or choose others: mesh-control-plane --http-address …",
    )


def _proxies(environment: Mapping[str, str]) -> Check:
    found = {word: environment[word] for word in PROXY_WORDS if environment.get(word)}
    if not found:
        return ok("http_proxy", "not set: only what `mesh run` starts goes through a sidecar")
    exempt = [each.strip() for word in ("no_proxy", "NO_PROXY") for each in environment.get(word, "").split(",")]
    named = ", ".join(f"{word}={value}" for word, value in found.items())
    if any(each in _LOCAL for each in exempt):
        return ok("http_proxy", f"{named}, with no_proxy for this machine")
    return warn(
        "http_proxy",
        f"{named}: programs send there what they call, those of the mesh too",
        "unset it in this shell, or set no_proxy=127.0.0.1,localhost (mesh run sets its own for what it starts)",
    )


def _loopback(problem: str) -> Check:
    if not problem:
        return ok("addresses", "127.0.1.1 and its like can be used, an address for each workload")
    return fail(
        "addresses",
        f"127.0.1.1 cannot be used: {problem}",
        "macOS: sudo ifconfig lo0 alias 127.0.1.1 (one for each workload); or give each its own with --address",
    )


def _localhost(addresses: Sequence[str]) -> Check:
    if any(address in ("127.0.0.1", "::1") for address in addresses):
        return ok("names", f"localhost is {', '.join(addresses)}")
    what = f"localhost is {', '.join(addresses)}" if addresses else "localhost cannot be looked up"
    return fail("names", what, 'there should be "127.0.0.1 localhost" in /etc/hosts')


def _descriptors(limit: int) -> Check:
    if limit >= LEAST_DESCRIPTORS:
        return ok("descriptors", f"{limit} files and connections at a time for a process")
    return warn(
        "descriptors",
        f"a process may have {limit} files and connections at a time: that is few for a proxy",
        "ulimit -n 65536, in the shell that starts it",
    )


def _interception(facts: Facts, plane_answers: bool) -> Check:
    if facts.chains is None:
        what = "is not installed" if not facts.iptables else "cannot be asked by this user"
        return ok("iptables", f"{what}; only transparent interception (mesh iptables) needs it, with root")
    if facts.chains and not plane_answers:
        return warn(
            "iptables",
            f"rules of a sidecar are left: {', '.join(facts.chains)}; without one, connections lead nowhere",
            "sudo mesh iptables --clean --apply",
        )
    return ok("iptables", f"rules are set: {', '.join(facts.chains)}" if facts.chains else "no rules are left")


def _docker(state: str) -> Check:
    if state == "":
        return ok("docker", "is not installed; only `mesh compose` needs it")
    if state == "ok":
        return ok("docker", "answers")
    return warn(
        "docker", f"is installed and does not answer: {state}", "start it, or join its group; only compose needs it"
    )
