"""Whether the process has file descriptors left. Without one it closes what it accepts, where nobody would see why."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.telemetry.cells import Counter

log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0
LOG_SECONDS: Final = 60.0


class DescriptorWatch:
    """Looks once a second: `exhausted` counts the looks that found none, of which one a minute is logged."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        exhausted: Counter,
        clock: Callable[[], float],
        *,
        device: str = os.devnull,
    ) -> None:
        self._loop = loop
        self._exhausted = exhausted
        self._clock = clock
        self._device = device
        self._logged = -LOG_SECONDS
        self._timer = loop.call_later(LOOK_SECONDS, self._look)

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        try:
            os.close(os.open(self._device, os.O_RDONLY))
        except OSError as error:
            self._exhausted.value += 1
            now = self._clock()
            if now - self._logged >= LOG_SECONDS:
                self._logged = now
                log.error(
                    "no file descriptors left (%s): connections are closed as they are accepted, and none can be made;"
                    " raise `ulimit -n`, or limit connections with an overload_manager",
                    error.strerror,
                )
