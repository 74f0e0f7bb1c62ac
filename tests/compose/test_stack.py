"""What a user sees of the stack: pages, changed splits, metrics; and what an app sees of its sidecar: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack, ask
from tests.harness.process import wait_until

WORKLOADS = ("productpage-v1", "details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3")
SCRAPE_SECONDS = 40.0  # several times Prometheus' interval

STATUS = """
import json, pathlib
for folder in pathlib.Path("/proc").iterdir():
    if folder.name.isdigit():
        lines = (folder / "status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        command = (folder / "cmdline").read_bytes().decode().split("\\0")
        print(json.dumps({"command": command, "uid": fields["Uid"].split(), "caps": fields["CapEff"].strip(),
                          "bounding": fields["CapBnd"].strip()}))
"""
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


@pytest.fixture
def routes(stack: Stack) -> Iterator[Stack]:
    """For tests that apply routes: none of reviews and ratings before and after."""
    yield stack
    for name in ("reviews", "ratings"):
        if name in stack.mesh("get", "virtualservice", "-o", "json"):
            stack.mesh("delete", "virtualservice", name)


def test_the_product_page_comes_through_the_gateway(stack: Stack) -> None:
    reply = stack.get()
    assert reply.status == 200
    assert reply.headers["server"] == "istio-envoy"
    assert reply.reviews[0] in ("v1", "v2", "v3")
    assert "William Shakespeare" in reply.text


def test_without_a_route_all_versions_answer(stack: Stack) -> None:
    assert set(stack.versions(60)) == {"v1", "v2", "v3"}


def test_a_changed_split_takes_effect(routes: Stack) -> None:
    routes.apply("all-v1.yaml")
    assert routes.versions(40) == {"v1": 40}
    routes.apply("reviews-90-10.yaml")
    seen = routes.versions(600)
    assert seen["v3"] == 0
    assert 0.05 < seen["v2"] / 600 < 0.15  # four standard deviations
    routes.apply("reviews-jason-v2.yaml")
    assert {reply.reviews[0] for reply in routes.get_many(10, headers={"end-user": "jason"})} == {"v2"}
    assert routes.versions(10) == {"v3": 10}


def test_a_change_from_inside_the_stack(routes: Stack) -> None:
    """As the first lines of the compose file say it, for those who have no Python on their machine."""
    routes.exec("control-plane", "mesh", "apply", "--wait", "-f", "examples/bookinfo/networking/reviews-jason-v2.yaml")
    assert routes.versions(10) == {"v3": 10}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_an_app_knows_nothing_of_its_sidecar(stack: Stack, workload: str) -> None:
    assert "proxy" not in stack.exec(workload, "env").lower()
    processes = [json.loads(line) for line in stack.exec(workload, "python", "-c", STATUS).splitlines()]
    assert not any("sidecar" in " ".join(process["command"]) for process in processes)
    assert all(process["uid"] == ["1000"] * 4 and int(process["caps"], 16) == 0 for process in processes)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_sidecar_has_no_privileges_left(stack: Stack, workload: str) -> None:
    processes = [json.loads(line) for line in stack.exec(f"{workload}-sidecar", "python", "-c", STATUS).splitlines()]
    proxies = [process for process in processes if any("mesh-sidecar" in word for word in process["command"])]
    assert len(proxies) == 1
    assert proxies[0]["uid"] == ["1337"] * 4
    assert int(proxies[0]["caps"], 16) == int(proxies[0]["bounding"], 16) == 0


def test_calls_outside_of_the_mesh_pass_through(stack: Stack) -> None:
    assert "Prometheus" in stack.exec("details-v1", "python", "-c", FETCH, "http://prometheus:9090/-/ready")
    stats = stack.exec(
        "details-v1-sidecar",
        "python",
        "-c",
        FETCH,
        "http://127.0.0.1:15000/stats?filter=PassthroughCluster.upstream_cx",
    )
    assert "cluster.PassthroughCluster.upstream_cx_total: 1\n" in stats


def test_every_target_is_up(stack: Stack) -> None:
    def all_up() -> bool:
        return {target["health"] for target in stack.targets()} == {"up"}

    wait_until(all_up, SCRAPE_SECONDS, "every target up")
    pods = {target["labels"].get("pod") for target in stack.targets() if target["labels"]["job"] == "envoy-stats"}
    assert pods == {"gateway", *WORKLOADS}
    assert {target["labels"]["job"] for target in stack.targets()} == {"envoy-stats", "istiod", "prometheus"}


@pytest.mark.parametrize("reporter", ["source", "destination"])
def test_istio_s_metrics_tell_who_called_whom(stack: Stack, reporter: str) -> None:
    """Both ends of a call tell the same, each in its own series."""
    stack.versions(20)
    expected = {
        ("istio-ingressgateway", "productpage-v1"),
        ("productpage-v1", "details-v1"),
        *(("productpage-v1", f"reviews-{version}") for version in ("v1", "v2", "v3")),
        *((f"reviews-{version}", "ratings-v1") for version in ("v2", "v3")),
    }
    samples = {}

    def there() -> bool:
        for sample in stack.query(f'istio_requests_total{{reporter="{reporter}", response_code="200"}}'):
            labels = sample["metric"]
            samples[labels["source_workload"], labels["destination_workload"]] = sample
        return set(samples) >= expected

    wait_until(there, SCRAPE_SECONDS, "all edges of the graph")
    labels = samples["productpage-v1", "reviews-v2"]["metric"]
    assert (
        labels
        | {
            "source_app": "productpage",
            "source_version": "v1",
            "destination_app": "reviews",
            "destination_version": "v2",
            "destination_service": "reviews.default.svc.cluster.local",
            "destination_service_name": "reviews",
            "destination_service_namespace": "default",
            "destination_canonical_service": "reviews",
            "request_protocol": "http",
            "response_flags": "-",
            "pod": "productpage-v1" if reporter == "source" else "reviews-v2",
        }
        == labels
    )


def test_the_control_plane_may_restart(routes: Stack) -> None:
    """Its configuration is on a volume, and its proxies go on without it."""
    routes.apply("reviews-jason-v2.yaml")
    routes.compose("restart", "control-plane")
    assert routes.versions(10) == {"v3": 10}
    routes.compose("up", "--wait", "--no-recreate")
    wait_until(lambda: "reviews" in routes.mesh("get", "virtualservice"), 30, "the configuration")
    routes.apply("all-v1.yaml")
    assert routes.versions(10) == {"v1": 10}


def test_an_app_follows_its_sidecar_into_a_new_namespace(stack: Stack) -> None:
    """The old one, in which the app was, is gone with the sidecar that owned it."""
    stack.compose("kill", "reviews-v1-sidecar")
    assert stack.get().status == 200
    stack.compose("up", "--wait", "--no-recreate")
    wait_until(lambda: "v1" in stack.versions(20), 40, "reviews v1 served again")
    assert set(stack.versions(60)) == {"v1", "v2", "v3"}


def test_grafana_has_its_data_source_and_dashboard(stack: Stack) -> None:
    if not stack.profiles:
        pytest.skip("the image of Grafana cannot be had here")
    found = json.loads(ask("127.0.0.1", stack.grafana, "/api/search?query=Mesh%20overview")[0].text)
    assert "mesh-overview" in {dashboard.get("uid") for dashboard in found}
