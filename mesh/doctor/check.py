"""One look at one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """`hint` says what to do; empty where all is well."""

    name: str
    verdict: Verdict
    message: str
    hint: str = ""


def ok(name: str, message: str) -> Check:
    return Check(name, Verdict.OK, message)


def warn(name: str, message: str, hint: str) -> Check:
    return Check(name, Verdict.WARN, message, hint)


def fail(name: str, message: str, hint: str) -> Check:
    return Check(name, Verdict.FAIL, message, hint)


def failed(checks: Iterable[Check]) -> bool:
    return any(check.verdict is Verdict.FAIL for check in checks)
