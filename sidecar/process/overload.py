"""The overload manager: from the pressure on resources to what of the load is shed. Pure but for reading the pressure.

A process that is given more than it can carry is to refuse some of it clearly, while it still can.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar.config.overload_model import Overload, OverloadAction, ResourceMonitor, Trigger
from sidecar.process.hostinfo import memory
from sidecar.telemetry.registry import Stats

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LoadShed:
    """What is shed at the moment, each a share from 0 (nothing) to 1; and the limit that always holds."""

    max_connections: int = 0
    stop_accepting_requests: float = 0.0
    disable_http_keepalive: float = 0.0
    stop_accepting_connections: float = 0.0
    reject_incoming_connections: float = 0.0
    rng: random.Random = field(default_factory=random.Random)

    def draw(self, share: float) -> bool:
        """Whether this one is of the share."""
        return share >= 1.0 or (share > 0.0 and self.rng.random() < share)


def per_process(config: Overload, processes: int) -> Overload:
    """The share of one of several processes in what the limits allow to all of them."""
    monitors = tuple(replace(monitor, max_bytes=monitor.max_bytes // processes) for monitor in config.monitors)
    return replace(config, monitors=monitors, max_connections=-(-config.max_connections // processes))


def pressure_of(monitor: ResourceMonitor) -> float:
    """Raises OSError and ValueError."""
    if monitor.path:
        return float(Path(monitor.path).read_text(encoding="ascii"))
    return int(memory()["total_physical_bytes"]) / monitor.max_bytes


def share_of(trigger: Trigger, pressure: float) -> float:
    if pressure >= trigger.complete:
        return 1.0
    if pressure <= trigger.begins:
        return 0.0
    return (pressure - trigger.begins) / (trigger.complete - trigger.begins)


class OverloadManager:
    """Looks at its resources every so often. `changed` is called when what is shed has changed."""

    def __init__(
        self,
        config: Overload,
        stats: Stats,
        changed: Callable[[LoadShed], None],
        *,
        read: Callable[[ResourceMonitor], float] = pressure_of,
    ) -> None:
        self.shed = LoadShed(config.max_connections)
        self._config = config
        self._changed = changed
        self._read = read
        self._pressure: dict[str, float] = {}
        start = "overload.envoy.overload_actions."
        self._monitors = [
            (
                monitor,
                stats.gauge(f"overload.{monitor.name}.pressure"),
                stats.counter(f"overload.{monitor.name}.failed_updates"),
            )
            for monitor in config.monitors
        ]
        self._actions = [
            (action, stats.gauge(f"{start}{action.name}.active"), stats.gauge(f"{start}{action.name}.scale_percent"))
            for action in config.actions
        ]

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Looks from now on, for as long as the loop runs."""
        if self._monitors:
            loop.call_later(self._config.refresh, self._again, loop)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(self._config.refresh, self._again, loop)
        self.look()

    def look(self) -> None:
        """Reads every resource, and sees to it that what follows from that is done."""
        for monitor, gauge, failed in self._monitors:
            try:
                pressure = self._pressure[monitor.name] = self._read(monitor)
            except (OSError, ValueError) as error:
                failed.value += 1
                log.info("cannot read the pressure of %s: %s", monitor.name, error)
            else:
                gauge.value = round(pressure * 100)
        changed = False
        for action, active, percent in self._actions:
            share = self._share(action)
            changed |= self._set(action.name, share)
            active.value, percent.value = int(share >= 1.0), round(share * 100)
        if changed:
            self._changed(self.shed)

    def _share(self, action: OverloadAction) -> float:
        return max(share_of(trigger, self._pressure.get(trigger.monitor, 0.0)) for trigger in action.triggers)

    def _set(self, name: str, share: float) -> bool:
        """Whether that is a change."""
        if not hasattr(self.shed, name) or getattr(self.shed, name) == share:
            return False  # shrink_heap sheds nothing
        setattr(self.shed, name, share)
        log.warning("overload: %s is at %d %%", name, share * 100)
        return True
