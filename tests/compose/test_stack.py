"""What a user sees of the stack: pages, changed splits, metrics; and what an app sees of its sidecar: nothing."""

from __future__ import annotations

import json
import time
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
        print(json.dumps({"pid": int(folder.name), "command": command, "uid": fields["Uid"].split(),
                          "caps": fields["CapEff"].strip(), "bounding": fields["CapBnd"].strip()}))
"""
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


@pytest.fixture
def routes(stack: Stack) -> Iterator[Stack]:
    """For tests that apply routes: none of reviews and ratings before and after."""
    yield stack
    for name in ("reviews", "ratings"):
        if name in stack.mesh("get", "virtualservice", "-o", "json"):
            stack.mesh("delete", "virtualservice", name)


@pytest.mark.complaint(19)
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
    proxies = [process for process in processes if "sidecar" in process["command"]]
    assert len(proxies) == 1
    assert proxies[0]["uid"] == ["1337"] * 4
    assert int(proxies[0]["caps"], 16) == int(proxies[0]["bounding"], 16) == 0


def test_the_image_runs_the_compiled_data_plane(stack: Stack) -> None:
    assert "compiled" in stack.exec("gateway", "mesh-sidecar", "--version")


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


STARTED = "import os; print(os.stat('/proc/1').st_ctime, open('/proc/1/stat').read().split()[21])"


@pytest.mark.fault(39)
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_an_app_outlives_its_sidecar(stack: Stack, how: str) -> None:
    """While it is away the others answer; when it is back the same app serves, which was never ended."""
    before = stack.exec("reviews-v1", "python", "-c", STARTED)
    stack.compose(how, "reviews-v1-sidecar")
    wait_until(lambda: "v1" not in stack.versions(20), 40, "reviews v1 is out of use")
    assert stack.get().status == 200
    stack.compose("start", "reviews-v1-sidecar")
    wait_until(lambda: "v1" in stack.versions(20), 180, "reviews v1 serves again")
    assert stack.exec("reviews-v1", "python", "-c", STARTED) == before, "the app is another one now"


@pytest.mark.fault(39)
def test_a_pod_that_is_killed_comes_back_whole(stack: Stack) -> None:
    """Its owner's network is a new one: who was in the old one is started again in it."""
    stack.compose("kill", "reviews-v2-pod")
    stack.compose("start", "reviews-v2-pod")
    wait_until(lambda: "v2" in stack.versions(20), 240, "reviews v2 serves again")


@pytest.mark.fault(39)
def test_health_checks_leave_no_trace(stack: Stack) -> None:
    """Nobody asks for pages: after a while no sidecar has counted a request, though every container was looked at."""

    def requests() -> str:
        page = "http://127.0.0.1:15000/stats?filter=^(istiocustom|http.(inbound|outbound).*downstream_rq_total)"
        return "\n".join(stack.exec(f"{name}-sidecar", "python", "-c", FETCH, page) for name in WORKLOADS)

    before = requests()
    checked = len(stack.compose("ps", "--format", "json"))
    assert checked
    time.sleep(10)  # three health checks of each container
    assert requests() == before


@pytest.mark.fault(39)
def test_a_sidecar_starts_in_one_process(stack: Stack) -> None:
    """The container's first process is the proxy: no shell, and no other Python before it."""
    processes = [json.loads(line) for line in stack.exec("reviews-v1-sidecar", "python", "-c", STATUS).splitlines()]
    assert any(process["pid"] == 1 and "sidecar" in process["command"] for process in processes)


def test_grafana_has_its_data_source_and_dashboard(stack: Stack) -> None:
    if not stack.profiles:
        pytest.skip("the image of Grafana cannot be had here")
    found = json.loads(ask("127.0.0.1", stack.grafana, "/api/search?query=Mesh%20overview")[0].text)
    assert "mesh-overview" in {dashboard.get("uid") for dashboard in found}
