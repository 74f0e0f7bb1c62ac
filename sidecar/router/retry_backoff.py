"""How long a retry waits: the back-off, or what the response asks for. Pure."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from sidecar.router.retry import Answer, number

if TYPE_CHECKING:
    from sidecar.config.model import RetryPolicy
    from sidecar.http.head import ResponseHead

# What a response's header may say at the least for it to be taken at its word, in seconds.
_LEAST_RESET: Final = 0.001


def backoff(policy: RetryPolicy, retry: int, rng: random.Random) -> float:
    """Seconds before the `retry`-th retry (1 is the first): full jitter under an exponential ceiling."""
    ceiling = min(policy.base_interval * (1 << min(retry - 1, 30)), policy.max_interval)
    return rng.random() * ceiling


def retry_after(policy: RetryPolicy, head: ResponseHead, now: float, rng: random.Random) -> float:
    """Seconds that the response asks for (`now` is a Unix time), and up to half as many more so that not all come at
    once; 0.0 when it asks for nothing that is believed."""
    for header in policy.reset_headers:
        values = Answer(head).header_values(header.name)
        seconds = number(values[0]) if values else None
        if seconds is None:
            continue
        wait = seconds - int(now) if header.timestamp else seconds
        if 0 <= wait <= policy.reset_max_interval:
            return wait * (1 + rng.random() / 2) if wait > _LEAST_RESET else 0.0
    return 0.0
