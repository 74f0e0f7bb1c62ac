"""Workloads that have no sidecar, or cannot have one."""

from dataclasses import replace

from mesh.version import VERSION
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


def test_sidecars_of_another_version() -> None:
    old = replace(sidecar("reviews"), agent="asyncmesh 0.0.1")
    same = replace(sidecar("ratings"), agent=f"asyncmesh {VERSION}")
    envoy = replace(sidecar("details"), agent="envoy 1.40.0")
    (found,) = analysed(REVIEWS, nodes=[old, same, envoy])
    assert (found.code.number, found.key.name) == ("IST0158", "default")
    assert "pod names: [reviews-v1-1 (0.0.1)]" in found.message
    assert analysed(REVIEWS, nodes=[same, envoy]) == []


def test_endpoints_on_localhost() -> None:
    entry = document(
        "ServiceEntry",
        "web",
        "{hosts: [web.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, "
        "endpoints: [{address: 10.0.0.1}, {address: 127.0.0.1}]}",
    )
    elsewhere = sidecar("reviews", address="10.0.0.7")
    (found,) = analysed(entry, nodes=[elsewhere])
    assert (found.code.number, found.field) == ("IST0143", "spec.endpoints[1].address")
    assert found.message.startswith("Port 80 is exposed in a Service but listens on localhost.")
    assert analysed(entry, nodes=[sidecar("reviews")]) == []  # all on one machine
    assert analysed(entry) == []
