"""What users of meshes complain about where configuration is concerned, one test for each complaint, by its number in the
list of 25 that this project answers: the YAML that people wrote, and what is said of it or made of it here."""

from __future__ import annotations

from typing import Any

from control_plane.ads.effect import Effect
from control_plane.analysis.finding import Finding
from control_plane.console.status import summary
from control_plane.translate import build
from mesh.doctor import plane as doctor
from mesh.doctor.check import Verdict
from mesh.istio.load import load
from mesh.istio.resource import Key
from mesh.xds import CLUSTER, ROUTE
from sidecar.config.route_model import Forward
from sidecar.config.routes import compile_route_config
from sidecar.http.head import ResponseHead
from sidecar.router.retry import Failure, RetryPlan
from tests.simulation.worlds import service, sidecar, world
from tests.unit.control_plane.ads.test_effect import made, of
from tests.unit.control_plane.analysis.support import (
    RATINGS,
    REVIEWS,
    TO_REVIEWS,
    analysed,
    deployment,
    document,
    route,
)


def said(*documents: str, **more: Any) -> list[Finding]:
    return analysed(*documents, **more)


def codes(*documents: str, **more: Any) -> list[str]:
    return [found.code.number for found in said(*documents, **more)]


def test_04_a_rule_is_silently_ignored() -> None:
    """Two VirtualServices for one host; a name that is not completed; a gateway that is not there."""
    rule = route(f"{{{TO_REVIEWS}}}")
    (found,) = said(REVIEWS, rule, rule.replace("name: rules", "name: second"))
    assert (found.code.number, found.key.name, found.others[0].name) == ("IST0109", "second", "rules")
    key = Key("VirtualService", "default", "second")
    assert (
        summary(key, Effect(), ["VirtualService default/rules"], [], []) == "shadowed by VirtualService default/rules"
    )
    assert codes(REVIEWS, rule.replace("hosts: [reviews]", "hosts: [reviews.default]")) == ["MESH0001"]
    assert codes(REVIEWS, rule.replace("hosts: [reviews]", "hosts: [reviews], gateways: [edge]")) == ["IST0101"]


def test_05_a_route_to_a_missing_subset_without_a_hint() -> None:
    (found,) = said(REVIEWS, route("{route: [{destination: {host: reviews, subset: v9}}]}"))
    assert found.field == "spec.http[0].route[0].destination.subset"
    assert found.message == 'Referenced host+subset in destinationrule not found: "reviews+v9"'
    assert found.line == 9  # of the file that was applied


def test_06_my_90_10_weights_do_not_work() -> None:
    """Connections are split instead of requests; the caller has no sidecar."""
    other = REVIEWS.replace("name: reviews", "name: reviews-2", 1)
    shares = "route: [{destination: {host: reviews}, weight: 90}, {destination: {host: reviews-2}, weight: 10}]"
    tcp = document("VirtualService", "split", f"{{hosts: [reviews], tcp: [{{{shares}}}]}}")
    assert codes(REVIEWS, other, tcp) == ["MESH0007"]
    unmeshed = route(f"{{match: [{{sourceLabels: {{app: cron}}}}], {shares}}}", f"{{{TO_REVIEWS}}}")
    assert codes(REVIEWS, other, unmeshed, nodes=[sidecar("reviews")]) == ["MESH0006"]


def test_09_retry_storms_multiply() -> None:
    def retried(host: str) -> str:
        to = f"route: [{{destination: {{host: {host}}}}}]"
        return route(f"{{{to}, retries: {{attempts: 3}}}}", name=host, host=host)

    hosts = [f"{name}.default.svc.cluster.local" for name in ("page", "reviews", "ratings")]
    calls = {hosts[0]: [hosts[1]], hosts[1]: [hosts[2]]}
    page = REVIEWS.replace("reviews", "page")
    (found,) = said(page, REVIEWS, RATINGS, retried("reviews"), retried("ratings"), calls=calls)
    assert (found.code.number, " 16 to ratings.default" in found.message) == ("MESH0008", True)
    # and a budget bounds them
    budget = document("DestinationRule", "budget", "{host: reviews, trafficPolicy: {retryBudget: {percent: 20}}}")
    cluster = build(world(service("reviews"), yaml=budget), sidecar())[CLUSTER][f"outbound|9080||{hosts[1]}"]
    assert cluster.circuit_breakers.thresholds[0].retry_budget.budget_percent.value == 20


def test_09_by_default_only_what_no_app_has_begun_is_repeated() -> None:
    """Asked of the sidecar's own decision: a POST whose connection is cut, or that is answered 500, is not sent twice."""
    tables = build(world(service("reviews")), sidecar())[ROUTE]
    hosts = compile_route_config(tables["http_proxy"]).virtual_hosts
    action = next(host for host in hosts if host.name.startswith("reviews.")).routes[-1].action
    assert isinstance(action, Forward) and action.retry is not None and action.retry.attempts == 2
    plan = RetryPlan(action.retry)
    assert [each for each in Failure if plan.wants_failure(each)] == [Failure.CONNECT, Failure.REFUSED]
    assert not any(plan.wants_response(ResponseHead(status, [])) for status in (500, 502, 503, 504, 429))


def test_10_fault_injection_with_retries_has_no_effect() -> None:
    rule = f"{{{TO_REVIEWS}, retries: {{attempts: 3}}, fault: {{abort: {{httpStatus: 503, percentage: {{value: 50}}}}%s}}}}"
    (found,) = said(REVIEWS, route(rule % ""))
    assert (found.code.number, '"at: upstream"' in found.message) == ("MESH0005", True)
    assert said(REVIEWS, route(rule % ", at: upstream")) == []


def test_11_outlier_detection_does_nothing() -> None:
    rule = document(
        "DestinationRule", "reviews", "{host: reviews, trafficPolicy: {outlierDetection: {interval: 1s%s}}}"
    )
    workload = deployment("reviews", "app: reviews", replicas=2)
    (found,) = said(REVIEWS, workload, rule.replace("%s", ""))
    assert (found.code.number, found.message.rpartition(". ")[2]) == (
        "MESH0004",
        "Set maxEjectionPercent to 50 or more",
    )
    assert said(REVIEWS, workload, rule.replace("%s", ", maxEjectionPercent: 50")) == []


def test_12_rate_limiting_needs_raw_envoy_filters() -> None:
    text = (
        "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: RateLimit\nmetadata: {name: few}\nspec: {host: reviews, "
        "dryRun: true, limits: [{name: jobs, match: [{headers: {x-batch: {}}}], requests: 5, per: 1s}]}\n"
    )
    (limit,) = load(text)
    assert (limit.spec.dry_run, limit.spec.limits[0].requests) == (True, 5)
    assert said(REVIEWS, text) == []
    assert codes(RATINGS, text) == ["IST0101"]


def test_13_protocols_by_the_names_of_ports() -> None:
    named = document(
        "Service", "db", "{selector: {app: db}, ports: [{name: web, port: 8080}, {name: tcp-x, port: 9000}]}"
    )
    (found,) = said(named)
    assert (found.code.number, found.field) == ("IST0118", "spec.ports[0]")
    raw = document("Service", "raw", "{selector: {app: raw}, ports: [{name: tcp, port: 9000}]}")
    rules = route("{route: [{destination: {host: raw}}]}", host="raw")
    assert codes(raw, rules) == ["MESH0010"]


def test_14_is_the_configuration_applied() -> None:
    """Each resource says on how many proxies it is in effect, and for whom it waits."""
    base, streams = made([sidecar("reviews"), sidecar("ratings")])
    streams[0].answer()
    effect = of(base, streams, "VirtualService", "reviews")
    assert (effect.concerned, effect.in_effect, effect.waiting) == (2, 1, (streams[1].id,))
    streams[1].answer()
    assert of(base, streams, "VirtualService", "reviews").in_effect == 2


def test_16_every_proxy_gets_everything() -> None:
    scope = document("Sidecar", "default", "{egress: [{hosts: ['./ratings.default.svc.cluster.local']}]}")
    services = [service(name) for name in ("reviews", "ratings", "details")]
    everything = build(world(*services), sidecar("reviews"))[CLUSTER]
    scoped = build(world(*services, yaml=scope), sidecar("reviews"))[CLUSTER]
    assert {name.rpartition("|")[2].partition(".")[0] for name in scoped if name.startswith("outbound|")} == {"ratings"}
    assert len(scoped) < len(everything)


def test_22_errors_are_opaque() -> None:
    """A list of checks, each with what to do."""
    check = doctor.unreachable("http://127.0.0.1:15080", "connection refused")
    assert check.verdict is Verdict.FAIL
    assert "start one (mesh demo, or mesh-control-plane)" in check.hint


def test_23_the_control_plane_does_not_push_and_says_nothing() -> None:
    status = {"version": "1", "revision": 1, "resources": 0, "services": 0, "problems": []}
    late = {"state": "STALE", "pushed_at": 0.0, "error": ""}
    proxy = {"name": "web-1", "namespace": "default", "connected": True, "types": {"RDS": late}}
    found = {each.name: each for each in doctor.checks("http://x", status, [proxy], "1", 60.0)}
    assert found["up to date"].verdict is Verdict.WARN
    assert "web-1.default" in found["up to date"].message
