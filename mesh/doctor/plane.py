"""The control plane and its proxies, by what it says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from mesh.doctor.check import Check, fail, ok, warn
from mesh.xds import SyncState

SKEW_SECONDS: Final = 2.0
STALE_SECONDS: Final = 10.0
SHOWN: Final = 3  # names in one line

Item = Mapping[str, Any]


def unreachable(url: str, reason: str) -> Check:
    return fail(
        "control plane",
        f"{url} does not answer: {reason}",
        "start one (mesh demo, or mesh-control-plane), or say where it is: --server URL, MESH_SERVER",
    )


def checks(url: str, status: Item, proxies: Sequence[Item], own_version: str, now: float) -> Iterator[Check]:
    """Everything about a control plane that answers; `now` is the Unix time at which it did."""
    resources, services = status["resources"], status["services"]
    yield ok("control plane", f"{url}, revision {status['revision']}, {resources} resources, {services} services")
    yield _version(status["version"], own_version)
    if (clock := status.get("now")) is not None:
        yield _clock(float(clock) - now)
    yield from _problems(status["problems"])
    yield _connected(proxies)
    if any(proxy["connected"] for proxy in proxies):
        yield _nacks(proxies)
        yield _stale(proxies, now)


def _version(version: str, own: str) -> Check:
    if version == own:
        return ok("versions", f"this command and the control plane are {own}")
    return warn(
        "versions",
        f"this command is {own}, the control plane {version}",
        "install the same version of both: what one of them does not know, it refuses",
    )


def _clock(skew: float) -> Check:
    if abs(skew) <= SKEW_SECONDS:
        return ok("clocks", f"within {SKEW_SECONDS:g} s of the control plane's")
    way = "ahead of" if skew > 0 else "behind"
    return warn(
        "clocks",
        f"the control plane's is {abs(skew):.0f} s {way} this machine's",
        "synchronise them (NTP): ages, traces and certificates are judged by the clock",
    )


def _problems(problems: Sequence[Item]) -> Iterator[Check]:
    if not problems:
        yield ok("configuration", "everything that is stored is understood")
    for problem in problems[:SHOWN]:
        place = ":".join(str(part) for part in (problem["file"], problem["line"]) if part)
        yield fail(
            "configuration",
            " ".join(str(part) for part in (place, problem["field"], problem["message"]) if part),
            "mend the file, or apply the resource anew; the last good version holds until then",
        )
    if len(problems) > SHOWN:
        yield fail("configuration", f"… and {len(problems) - SHOWN} problems more", "all of them: GET /api/v1/status")


def _connected(proxies: Sequence[Item]) -> Check:
    lost = [proxy for proxy in proxies if not proxy["connected"]]
    there = len(proxies) - len(lost)
    if lost:
        return warn(
            "proxies",
            f"{there} connected; {_names(lost)} not (any more)",
            "see their logs; whoever stays away is taken out of use, and forgotten after a minute",
        )
    if not proxies:
        return warn("proxies", "none has connected yet", "mesh run --service NAME --port PORT -- COMMAND")
    return ok("proxies", f"{there} connected")


def _nacks(proxies: Sequence[Item]) -> Check:
    refused = [
        f"{_name(proxy)}: {kind}: {state['error']}"
        for proxy in proxies
        for kind, state in proxy["types"].items()
        if state.get("error")
    ]
    if not refused:
        return ok("refusals", "no proxy has refused anything")
    more = f" (+{len(refused) - 1} more)" if len(refused) > 1 else ""
    return fail("refusals", f"{refused[0]}{more}", "which resource it was: mesh status; back to before: mesh rollback")


def _stale(proxies: Sequence[Item], now: float) -> Check:
    behind = [
        proxy
        for proxy in proxies
        for state in proxy["types"].values()
        if state["state"] == SyncState.STALE and now - _last_push(proxy, state, now) > STALE_SECONDS
    ]
    if not behind:
        return ok("up to date", "every connected proxy has what it was sent")
    return warn(
        "up to date",
        f"{_names(behind)} has not answered what it was sent {STALE_SECONDS:g} s ago and more",
        "is it overloaded, or stopped? mesh proxy-status; mesh proxy-config log PROXY",
    )


def _last_push(proxy: Item, state: Item, now: float) -> float:
    """When it was sent something of a type; one that nothing was sent to is waiting since it connected."""
    pushed_at = state.get("pushed_at")
    return float(proxy.get("since", now) if pushed_at is None else pushed_at)


def _names(proxies: Iterable[Item]) -> str:
    names = list(dict.fromkeys(map(_name, proxies)))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _name(proxy: Item) -> str:
    return f"{proxy['name']}.{proxy['namespace']}"
