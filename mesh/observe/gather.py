"""Asks all proxies of a mesh the same question, side by side."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mesh.observe.scrape import AT_ONCE, fetch
from mesh.observe.targets import PROXIES, Target


@dataclass(slots=True)
class Answers:
    """What each proxy said, and why some said nothing, by the proxy's name."""

    found: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def ask(targets: Sequence[Target], path: str) -> Answers:
    """The JSON of a page of each proxy."""
    proxies = [target for target in targets if target.job == PROXIES]
    answers = Answers()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="gather") as pool:
        for target, answer in zip(proxies, pool.map(lambda target: _ask(target, path), proxies), strict=True):
            if isinstance(answer, _Silent):
                answers.errors[target.pod] = answer.reason
            else:
                answers.found[target.pod] = answer
    return answers


@dataclass(frozen=True, slots=True)
class _Silent:
    reason: str


def _ask(target: Target, path: str) -> Any:
    try:
        return json.loads(fetch(target, path))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _Silent(str(error) or type(error).__name__)
