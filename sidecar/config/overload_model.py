"""When the process sheds load: monitored resources, and the actions that their pressure sets off."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResourceMonitor:
    """What tells a pressure from 0 to 1: the process's memory as a share of `max_bytes`, or the number in the file at
    `path`."""

    name: str
    max_bytes: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """The action begins at the pressure `begins` and is complete at `complete`; a threshold has both the same."""

    monitor: str
    begins: float
    complete: float


@dataclass(frozen=True, slots=True)
class OverloadAction:
    """`name` without `envoy.overload_actions.`; the trigger that asks for most counts."""

    name: str
    triggers: tuple[Trigger, ...]


@dataclass(frozen=True, slots=True)
class Overload:
    """An overload_manager; `max_connections` 0 means no limit."""

    monitors: tuple[ResourceMonitor, ...] = ()
    actions: tuple[OverloadAction, ...] = ()
    max_connections: int = 0
    refresh: float = 1.0
