"""What `mesh experiment run` does itself for a fault: breaks processes of this machine when the experiment asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mesh.chaos.containers import of_service
from mesh.chaos.held import Held
from mesh.chaos.keeper import Breakage
from mesh.chaos.processes import Target, listening, of_workload
from mesh.cli.client import ControlPlane, parse_server
from mesh.experiments.resource import Experiment
from mesh.experiments.strategy import Fault, Processes, Signal

GRACE_SECONDS = 60.0  # for a control plane that was paused to answer again
FAULT_STAGE = 1


class Agent:
    """`step` gets each state of the experiment. `patient` is whether a control plane that does not answer is expected."""

    def __init__(
        self, plane: ControlPlane, namespace: str, name: str, fault: Fault, say: Callable[[str], None]
    ) -> None:
        self._plane = plane
        self._place = (namespace, name)
        self._fault = fault
        self._say = say
        self._held: Held | None = None
        self._until = 0.0
        self._asked = False

    @property
    def patient(self) -> bool:
        processes = self._fault.processes
        if processes is None or not (processes.control_plane or processes.containers):
            return False
        return time.monotonic() < self._until

    def step(self, found: Mapping[str, Any]) -> None:
        """ProcessError where there is nothing to break; the experiment then has not left its steady state."""
        stage = found.get("stage", 0)
        if found.get("gate") and stage < FAULT_STAGE and not self._asked:
            self._breakage()  # is everybody there?
            self._asked = True
            self._plane.experiment_action(*self._place, "promote", f"{self.what} from now on")
        elif self._asked and stage == FAULT_STAGE and self._held is None:
            self._until = time.monotonic() + self._fault.duration + GRACE_SECONDS
            self._held = Held(self._breakage())
            self._say(f"{self.what}, for {self._fault.duration:g} s")
        elif self._held is not None and stage > FAULT_STAGE:
            self.close()

    def close(self) -> None:
        """Mends what is broken still."""
        if self._held is not None:
            self._held.mend()
            self._say("mended")
        self._held = None
        self._asked = False

    @property
    def what(self) -> str:
        processes, connections = self._fault.processes, self._fault.connections
        words = []
        if processes is not None:
            named = ", ".join((*processes.workloads, *processes.containers))
            who = "the control plane" if processes.control_plane else named
            words.append(f"{who}: {'paused' if processes.signal is Signal.PAUSE else 'killed'}")
        if connections is not None:
            words.append(f"{connections.count} connections to {connections.host}:{connections.port} are held")
        if (names := self._fault.dns) is not None:
            words.append(f"names take {names.delay:g} s")
        return "; ".join(words)

    def _breakage(self) -> Breakage:
        processes, connections = self._fault.processes, self._fault.connections
        found = self._targets(processes) if processes is not None else ()
        named = processes.containers if processes is not None else ()
        ids = tuple(container for name in named for container in of_service(name))
        pause = processes is not None and processes.signal is Signal.PAUSE
        return Breakage(
            self._fault.duration,
            paused=found if pause else (),
            killed=() if pause else found,
            paused_containers=ids if pause else (),
            killed_containers=() if pause else ids,
            connections=(connections.host, connections.port, connections.count) if connections else None,
            names=(dns.host, dns.port, dns.delay) if (dns := self._fault.dns) is not None else None,
        )

    def _targets(self, processes: Processes) -> tuple[Target, ...]:
        if processes.control_plane:
            return (listening(*parse_server(self._plane.url)),)
        return tuple(target for name in processes.workloads for target in of_workload(name))


def agent_for(
    plane: ControlPlane, namespace: str, name: str, spec: Experiment, say: Callable[[str], None]
) -> Agent | None:
    """None where the control plane does all that is to be done."""
    fault = spec.strategy.fault
    if fault is None or not fault.by_hand:
        return None
    return Agent(plane, namespace, name, fault, say)
