"""Workloads that have no sidecar, or cannot have one."""

from tests.simulation.worlds import sidecar
from tests.unit.control_plane.analysis.support import REVIEWS, TO_REVIEWS, analysed, codes, deployment, document, route


def test_the_user_of_the_sidecar() -> None:
    pod = "securityContext: {runAsUser: 1337}, containers: []"
    (found,) = analysed(deployment("a", "app: a", pod=pod))
    assert (found.code.number, found.field) == ("IST0144", "spec.template.spec.securityContext.runAsUser")
    assert found.message == "User ID (UID) 1337 is reserved for the sidecar proxy."
    container = "containers: [{name: %s, securityContext: {runAsUser: 1337}}]"
    assert codes(deployment("a", "app: a", pod=container % "app")) == [("IST0144", "a")]
    assert codes(deployment("a", "app: a", pod=container % "istio-proxy")) == []
    assert codes(document("Pod", "a", f"{{{container % 'app'}}}")) == [("IST0144", "a")]


def test_endpoints_without_a_proxy() -> None:
    entry = document("WorkloadEntry", "vm", "{address: 10.0.0.7, labels: {app: reviews}}")
    assert codes(REVIEWS, entry) == []  # files say nothing of proxies
    (found,) = analysed(REVIEWS, entry, nodes=[sidecar("reviews")])
    assert found.code.number == "IST0103"
    assert found.message.startswith("The pod vm is missing the Istio proxy.")
    assert codes(REVIEWS, nodes=[sidecar("reviews")]) == []


def test_callers_without_a_sidecar() -> None:
    rule = route(f"{{match: [{{sourceLabels: {{app: cron}}}}], {TO_REVIEWS}}}", f"{{{TO_REVIEWS}}}")
    assert codes(REVIEWS, rule) == []
    (found,) = analysed(REVIEWS, rule, nodes=[sidecar("reviews")])
    assert (found.code.number, found.field) == ("MESH0006", "spec.http[0].match[0].sourceLabels")
    assert "no caller with the labels app=cron has one" in found.message
    assert codes(REVIEWS, rule, nodes=[sidecar("cron"), sidecar("reviews")]) == []
