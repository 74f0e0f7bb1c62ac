"""What became of one request at each proxy that it passed: from their access logs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mesh.observe.log_lines import Record, record

Reasons = Mapping[tuple[str, str, str], str]


def records(answers: Mapping[str, Any]) -> list[Record]:
    """The log lines in what proxies answered (their /logs, by pod)."""
    return [record(pod, line["at"], line["line"]) for pod, answer in answers.items() for line in answer["lines"]]


def reason_of(found: Record, known: Reasons) -> str:
    """Why the proxy answered this one itself, "" where it did not, or where nobody knows any more."""
    return known.get((found.pod, found.request_id, found.details), "")


def reasons(answers: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """Why proxies answered themselves (their /why, by pod), by pod, request id and code details as logs have them: a
    proxy may have seen a request twice, on its way in and on its way on."""
    return {
        (pod, str(reply["request_id"]), str(reply["details"]).replace(" ", "_")): str(reply["why"])
        for pod, answer in answers.items()
        for reply in answer.get("replies", ())
        if reply["request_id"]
    }


def hops(found: Iterable[Record], request_id: str) -> list[Record]:
    """The lines of one request in the order in which it passed: who began first, and of those that began in the same
    millisecond who took longer, since the one waits for the other; a caller's side before the called one's."""
    ours = [each for each in found if each.understood and each.request_id == request_id]
    return sorted(ours, key=lambda each: (each.start_time, -each.milliseconds, each.inbound))
