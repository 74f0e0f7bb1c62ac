"""Strategies: how requests are brought to a candidate, or a fault to a service."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from mesh.experiments.scalars import ContainerName, Cookie, HostOrIp, Percent
from mesh.istio.model import Found, Message
from mesh.istio.scalars import Count, DnsLabel, Duration, Host, PortNumber, Rows, WholePercent, Word
from mesh.istio.virtual_service_actions import FaultPlace
from mesh.istio.virtual_service_match import HTTPMatchRequest


class Step(Message):
    """`weight` percent to the candidate, until so much time is over and so many requests have come to it. `manual` waits
    for `mesh experiment promote`, `webhook` for a POST that is answered with 200."""

    at_least_one = (("duration", "requests", "manual", "webhook"),)

    weight: WholePercent
    duration: Duration | None = None
    requests: Count = 0
    manual: bool = False
    webhook: str = ""

    def rules(self) -> Iterator[Found]:
        if self.webhook and not self.webhook.startswith("http://"):
            yield Found(("webhook",), "must be a http:// URL")


class Compare(Message):
    """A comparer (`mesh experiment shadow`) that gets the copies instead, and asks both versions itself: the service that it
    is for the mesh, and where its report is read. What differs beyond noise ends the experiment."""

    host: Host
    port: PortNumber
    report: str

    def rules(self) -> Iterator[Found]:
        if not self.report.startswith("http://"):
            yield Found(("report",), "must be the http:// URL of the comparer")


class Mirror(Message):
    """Copies of `percent` of the requests for the candidate, whose answers nobody gets: users stay with the baseline.
    Counted as the versions' own proxies see them, for as long as `duration` and until so many copies have come."""

    at_least_one = (("duration", "requests"),)

    percent: WholePercent = 100
    compare: Compare | None = None
    duration: Duration | None = None
    requests: Count = 0

    def rules(self) -> Iterator[Found]:
        if self.percent == 0:
            yield Found(("percent",), "must be more than 0")


class AA(Message):
    """The same version twice, to see what noise looks like here. Without a candidate its requests are told apart by chance,
    half and half, after they were counted, and no route is changed; with one (the same software deployed twice) `share`
    percent of the requests go there."""

    at_least_one = (("duration", "requests"),)

    share: WholePercent = 50
    duration: Duration | None = None
    requests: Count = 0

    def rules(self) -> Iterator[Found]:
        if not 0 < self.share < 100:
            yield Found(("share",), "must lie between 0 and 100")


class Canary(Message):
    """`mirrorFirst` tries the candidate with copies before anybody is sent there. `stickyCookie` keeps a browser with the
    version that it was once given, until it moves on to the candidate."""

    mirror_first: Mirror | None = None
    steps: Rows[Step]
    sticky_cookie: Cookie | None = None

    def rules(self) -> Iterator[Found]:
        if not self.steps:
            yield Found(("steps",), "must have at least one step")
        for index, step in enumerate(self.steps):
            if index and step.weight <= self.steps[index - 1].weight:
                yield Found(("steps", index, "weight"), "must be more than that of the step before")
            if step.weight == 0:
                yield Found(("steps", index, "weight"), "must be more than 0")


class AB(Message):
    """`share` percent of the requests that match (all, without `match`), for as long as `duration`."""

    share: WholePercent = 50
    match: Rows[HTTPMatchRequest] = ()
    sticky_cookie: Cookie | None = None
    duration: Duration | None = None
    requests: Count = 0

    def rules(self) -> Iterator[Found]:
        if not 0 < self.share < 100:
            yield Found(("share",), "must lie between 0 and 100")


class BlueGreen(Message):
    """All at once: the candidate gets everything for `duration`, compared with the baseline's `warmup` before."""

    warmup: Duration
    duration: Duration


class Delay(Message):
    fixed: Duration
    percent: Percent = 100.0


class Abort(Message):
    status: Annotated[int, Field(ge=200, le=599)]
    percent: Percent = 100.0


class Throttle(Message):
    """Bodies of responses come at so many KiB a second."""

    limit_kbps: Annotated[int, Field(ge=1, le=10_000_000)]
    percent: Percent = 100.0


class Reset(Message):
    """Connections end without an answer."""

    percent: Percent = 100.0


class Signal(StrEnum):
    PAUSE = "pause"
    KILL = "kill"


class Processes(Message):
    """Processes of the machine on which `mesh experiment run` runs: apps of workloads that `mesh run` or `mesh demo` has
    started, containers (by a service of compose, or their name), or the control plane. `pause` (SIGSTOP) ends with the
    fault; `kill` (SIGKILL) is for what somebody starts again, as the fault's end does with containers."""

    exactly_one = (("workloads", "containers", "controlPlane"),)

    workloads: Rows[DnsLabel] = ()
    containers: Rows[ContainerName] = ()
    control_plane: bool = False
    signal: Word[Signal] = Signal.PAUSE

    def rules(self) -> Iterator[Found]:
        if not self.workloads and not self.containers and not self.control_plane:
            yield Found(("workloads",), "must name at least one workload, or containers one container")
        if self.control_plane and self.signal is Signal.KILL:
            yield Found(("signal",), "must be pause: a control plane that is killed has forgotten what it had counted")


class Connections(Message):
    """So many connections to an address, opened and held by `mesh experiment run`: those of others find no place."""

    host: HostOrIp
    port: PortNumber
    count: Annotated[int, Field(ge=1, le=20_000)]


class SlowNames(Message):
    """A DNS forwarder (`mesh experiment dns`) whose control port this is answers so much later."""

    host: HostOrIp
    port: PortNumber
    delay: Duration

    def rules(self) -> Iterator[Found]:
        if not 0 < self.delay <= 60:
            yield Found(("delay",), "must be more than 0s, at most 60s")


class Fault(Message):
    """A fault for the requests to the host (those that match), `at` their callers' sidecars or the host's own (where retries
    and breakers see it), for `duration`, after a steady state of `before` (as long, unless told). The checks compare the
    two as seen by those who call `observe` (the host itself, unless told); within `recovery` afterwards they have to hold
    again. `processes`, `connections` and `dns` wait for `mesh experiment run`."""

    @property
    def by_hand(self) -> bool:
        """Whether it takes somebody beside the control plane."""
        return self.processes is not None or self.connections is not None or self.dns is not None

    at_least_one = (("delay", "abort", "throttle", "reset", "processes", "connections", "dns"),)

    delay: Delay | None = None
    abort: Abort | None = None
    throttle: Throttle | None = None
    reset: Reset | None = None
    at: Word[FaultPlace] = FaultPlace.CLIENT
    processes: Processes | None = None
    connections: Connections | None = None
    dns: SlowNames | None = None
    match: Rows[HTTPMatchRequest] = ()
    observe: str = ""
    before: Duration | None = None
    duration: Duration
    recovery: Duration | None = None


class Strategy(Message):
    exactly_one = (("canary", "ab", "aa", "blueGreen", "mirror", "fault"),)

    canary: Canary | None = None
    ab: AB | None = None
    aa: AA | None = None
    blue_green: BlueGreen | None = None
    mirror: Mirror | None = None
    fault: Fault | None = None
