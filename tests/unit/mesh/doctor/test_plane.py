"""What is said of a control plane and its proxies."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.doctor import plane
from mesh.doctor.check import Verdict

NOW = 1000.0


def status(**more: Any) -> dict[str, Any]:
    return {"version": "1.0", "revision": 7, "resources": 3, "services": 2, "problems": [], "now": NOW, **more}


def proxy(name: str, connected: bool = True, **types: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "default", "connected": connected, "types": types}


def verdicts(proxies: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, tuple[Verdict, str]]:
    there = [proxy("web")] if proxies is None else proxies
    return {
        each.name: (each.verdict, each.message) for each in plane.checks("http://x", status(**more), there, "1.0", NOW)
    }


def test_all_is_well() -> None:
    found = verdicts()
    assert {verdict for verdict, _ in found.values()} == {Verdict.OK}
    names = ["control plane", "versions", "clocks", "configuration", "proxies", "refusals", "up to date"]
    assert list(found) == names
    assert found["control plane"][1] == "http://x, revision 7, 3 resources, 2 services"


def test_another_version() -> None:
    assert verdicts(version="0.9")["versions"] == (Verdict.WARN, "this command is 1.0, the control plane 0.9")


@pytest.mark.parametrize(
    ("now", "verdict", "word"),
    [
        (NOW + 1.9, Verdict.OK, "within"),
        (NOW + 5, Verdict.WARN, "5 s ahead of"),
        (NOW - 60, Verdict.WARN, "60 s behind"),
    ],
)
def test_clocks(now: float, verdict: Verdict, word: str) -> None:
    found, message = verdicts(now=now)["clocks"]
    assert found is verdict
    assert word in message


def test_stored_files_that_are_not_understood() -> None:
    problem = {"file": "a.yaml", "line": 3, "field": "spec.host", "message": "is required"}
    assert verdicts(problems=[problem])["configuration"] == (Verdict.FAIL, "a.yaml:3 spec.host is required")
    checks = list(plane.checks("http://x", status(problems=[problem] * 9), [], "1.0", NOW))
    assert [each.message for each in checks if each.name == "configuration"][-1] == "… and 6 problems more"


def test_proxies_that_are_not_there() -> None:
    assert verdicts([])["proxies"][0] is Verdict.WARN
    assert "refusals" not in verdicts([])
    found = verdicts([proxy("web"), proxy("api", connected=False)])
    assert found["proxies"] == (Verdict.WARN, "1 connected; api.default not (any more)")


def test_refusals() -> None:
    refused = proxy("web", LDS={"state": "NACKED", "error": "no such filter"})
    assert verdicts([refused])["refusals"] == (Verdict.FAIL, "web.default: LDS: no such filter")


def test_stale_ones() -> None:
    late = proxy("web", CDS={"state": "STALE", "pushed_at": NOW - 11, "error": ""})
    soon = proxy("api", CDS={"state": "STALE", "pushed_at": NOW - 1, "error": ""})
    found = verdicts([late, soon])["up to date"]
    assert found == (Verdict.WARN, "web.default has not answered what it was sent 10 s ago and more")
    assert verdicts([soon])["up to date"][0] is Verdict.OK
