"""When a connection that still works is to be given up: drain sequences, and the health that the server reports. Pure.

A drain never cuts anything by itself. While one is on, responses begin to say `connection: close`: with the gradual
strategy the more of them the later it is, so that clients do not all reconnect in the same moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic


@dataclass(slots=True)
class ServerHealth:
    """`failed` after POST /healthcheck/fail: health checks are to fail, and connections to go elsewhere."""

    failed: bool = False


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """`--drain-time-s` and `--drain-strategy`, as all drain sequences of a process follow them."""

    seconds: float = 600.0
    immediate: bool = False
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = monotonic

    def begin(self) -> DrainSequence:
        return DrainSequence(self, self.clock() + self.seconds)


@dataclass(frozen=True, slots=True)
class DrainSequence:
    """A drain that began: it goes on until `deadline`, and whatever is left behind it."""

    policy: DrainPolicy
    deadline: float

    def closes(self) -> bool:
        """Whether the response about to be sent is to be its connection's last: certainly once the time is over, before
        that as likely as much of it is gone, in whole seconds as Envoy counts them."""
        policy = self.policy
        left = self.deadline - policy.clock()
        if policy.immediate or left <= 0:
            return True
        whole = int(policy.seconds)
        return whole - int(left) > policy.rng.randrange(whole) if whole else True
