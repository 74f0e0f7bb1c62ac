"""What is said of a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mesh.doctor import machine, plane
from mesh.doctor.check import Check, Verdict
from mesh.doctor.facts import Facts

GOOD: dict[str, Any] = {"localhost": ("127.0.0.1",), "descriptors": 20000}


def checked(name: str, plane_answers: bool = False, **facts: Any) -> Check:
    found = {each.name: each for each in machine.checks(Facts(**{**GOOD, **facts}), plane_answers)}
    return found[name]


def test_all_is_well_and_nothing_is_advised() -> None:
    checks = list(machine.checks(Facts(**GOOD), False))
    assert {(each.verdict, each.hint) for each in checks} == {(Verdict.OK, "")}


def test_the_page_lists_every_check() -> None:
    status = {"version": "1", "revision": 1, "resources": 0, "services": 0, "problems": [], "now": 1.0}
    web = {"name": "web", "namespace": "default", "connected": True, "types": {}}
    made = [*plane.checks("http://x", status, [web], "1", 1.0), *machine.checks(Facts(**GOOD), False)]
    page = (Path(__file__).parents[4] / "docs" / "doctor.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.partition("|---|")[2].splitlines()[1:] if line.startswith("|")]
    assert rows and sorted(rows) == sorted({each.name for each in made})
    run = page.partition("$ mesh doctor\n")[2].partition("```")[0]
    assert {line[6:20].strip() for line in run.splitlines() if line[:6].strip() in ("ok", "warn", "fail")} <= set(rows)


def test_ports_that_somebody_else_has() -> None:
    found = checked("ports", taken=(15080, 99))
    assert (found.verdict, found.message) == (
        Verdict.FAIL,
        "taken by something that is no control plane: 15080 (HTTP API)",
    )
    assert "ss -ltnp 'sport = :15080'" in found.hint
    there = [each.name for each in machine.checks(Facts(**GOOD, taken=(15080,)), True)]
    assert "ports" not in there  # the control plane has them


def test_an_http_proxy_in_the_environment() -> None:
    environment = {"http_proxy": "http://proxy:3128"}
    found = checked("http_proxy", environment=environment)
    assert found.verdict is Verdict.WARN
    assert "http_proxy=http://proxy:3128" in found.message
    assert checked("http_proxy", environment={**environment, "no_proxy": "a, 127.0.0.1"}).verdict is Verdict.OK


def test_addresses_names_and_limits() -> None:
    assert checked("addresses", loopback="Cannot assign requested address").verdict is Verdict.FAIL
    assert checked("names", localhost=()).message == "localhost cannot be looked up"
    assert checked("names", localhost=("10.0.0.1",)).verdict is Verdict.FAIL
    assert checked("names", localhost=("::1",)).verdict is Verdict.OK
    assert checked("descriptors", descriptors=256).verdict is Verdict.WARN


def test_rules_that_were_left() -> None:
    left = checked("iptables", iptables=True, chains=("ISTIO_OUTPUT",))
    assert (left.verdict, left.hint) == (Verdict.WARN, "sudo mesh iptables --clean --apply")
    assert checked("iptables", plane_answers=True, iptables=True, chains=("ISTIO_OUTPUT",)).verdict is Verdict.OK
    assert "cannot be asked" in checked("iptables", iptables=True).message
    assert "not installed" in checked("iptables").message


def test_docker() -> None:
    assert checked("docker", docker="ok").message == "answers"
    assert checked("docker", docker="permission denied").verdict is Verdict.WARN
