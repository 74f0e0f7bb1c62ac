"""Every file in examples/bookinfo/networking, in a running mesh: it is accepted, and does what its first lines say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.process import wait_until
from tests.integration.demo.stack import ROOT, Demo, Page, load, more_requests

RULES = ROOT / "examples" / "bookinfo" / "networking"
JASON = {"end-user": "jason"}
TESTED_BELOW = {
    "all-v1.yaml",
    "destination-rules.yaml",
    "gateway.yaml",
    "ratings-abort-jason.yaml",
    "ratings-abort-retried.yaml",
    "ratings-delay-jason.yaml",
    "ratings-limit-by-source.yaml",
    "ratings-limit.yaml",
    "ratings-three-state-breaker.yaml",
    "reviews-90-10.yaml",
    "reviews-circuit-breaker.yaml",
    "reviews-jason-v2.yaml",
    "reviews-retry.yaml",
    "reviews-sticky.yaml",
    "reviews-timeout.yaml",
    "services.yaml",
}


def apply(demo: Demo, *names: str) -> None:
    words = [word for name in names for word in ("-f", str(RULES / name))]
    done = demo.mesh("apply", "--wait", *words)
    assert done.returncode == 0, done.stderr


def versions(demo: Demo, requests: int = 40) -> set[str]:
    with load(demo, "/api/v1/products/0/reviews") as tally:
        more_requests(tally, requests)
    assert not tally.failures, tally.failures
    return set(tally.versions)


def test_every_file_has_a_test() -> None:
    assert {path.name for path in RULES.iterdir()} == TESTED_BELOW


def test_services_gateway_and_destination_rules_change_nothing_for_the_caller(demo: Demo) -> None:
    gateway = (RULES / "gateway.yaml").read_text().replace("number: 8080", f"number: {demo.port}")
    demo.apply(gateway, "gateway.yaml")
    apply(demo, "services.yaml", "destination-rules.yaml")
    assert demo.get().status == 200
    assert demo.get("/").status == 200
    assert demo.get("/elsewhere").status == 404
    assert versions(demo) == {"v1", "v2", "v3"}


def test_all_v1(demo: Demo) -> None:
    apply(demo, "all-v1.yaml")
    assert versions(demo) == {"v1"}
    assert 'class="stars' not in demo.get().html


def test_90_10(demo: Demo) -> None:
    apply(demo, "reviews-90-10.yaml")
    assert versions(demo, 150) == {"v1", "v2"}


def test_jason_gets_v2(demo: Demo) -> None:
    apply(demo, "reviews-jason-v2.yaml")
    assert {demo.get(headers=JASON).version for _ in range(10)} == {"v2"}
    assert {demo.get(headers={"cookie": "end-user=jason"}).version for _ in range(3)} == {"v2"}
    assert {demo.get(headers={"end-user": "kim"}).version for _ in range(10)} == {"v3"}


def test_a_delay_makes_jasons_page_fall_back(demo: Demo) -> None:
    apply(demo, "reviews-jason-v2.yaml", "ratings-delay-jason.yaml")
    page = demo.get(headers=JASON)
    assert (page.status, page.version) == (200, "none")
    assert "reviews are currently unavailable" in page.html
    assert 2.5 < page.seconds < 6
    assert demo.get().version == "v3"


def test_a_timeout_makes_it_fall_back_at_once(demo: Demo) -> None:
    apply(demo, "reviews-timeout.yaml")
    assert versions(demo) == {"v1", "v2", "v3"}
    apply(demo, "ratings-delay-jason.yaml")
    pages: list[Page] = []
    while {page.version for page in pages} != {"none", "v1"} and len(pages) < 60:  # a page in three asks v1
        pages.append(demo.get(headers=JASON))
    assert {page.version for page in pages} == {"none", "v1"}
    assert all(0.4 < page.seconds < 2.5 for page in pages if page.version == "none")


def test_an_abort_takes_jasons_stars(demo: Demo) -> None:
    apply(demo, "reviews-jason-v2.yaml", "ratings-abort-jason.yaml")
    page = demo.get(headers=JASON)
    assert (page.status, page.version) == (200, "v2")
    assert "Ratings service is currently unavailable" in page.html
    assert 'class="stars red"' in demo.get().html


@pytest.mark.complaint(10)
def test_retries_hide_a_fault_beyond_the_router(demo: Demo) -> None:
    apply(demo, "reviews-jason-v2.yaml", "ratings-abort-retried.yaml")
    pages = [demo.get(headers=JASON) for _ in range(20)]
    assert all("Ratings service is currently unavailable" not in page.html for page in pages)
    demo.apply(
        (RULES / "ratings-abort-retried.yaml")
        .read_text()
        .replace("attempts: 10", "attempts: 0")
        .replace("      retryOn: 5xx\n      backoff: 1ms\n", ""),
        "bare.yaml",
    )
    # Connections from before the fault keep the listener that they came to until it has drained.
    wait_until(
        lambda: "Ratings service is currently unavailable" in demo.get(headers=JASON).html, 60, "a fault is seen"
    )


@pytest.mark.complaint(12)
def test_a_limit_of_requests(demo: Demo) -> None:
    apply(demo, "reviews-jason-v2.yaml")
    demo.apply((RULES / "ratings-limit.yaml").read_text().replace("per: 1s", "per: 60s"), "ratings-limit.yaml")
    # Connections that are there already keep the listener without a limit until it has drained.
    wait_until(
        lambda: "Ratings service is currently unavailable" in demo.get(headers=JASON).html, 60, "the limit is felt"
    )
    counting = (RULES / "ratings-limit.yaml").read_text() + "  dryRun: true\n"
    demo.apply(counting, "counting.yaml")

    def served() -> bool:  # connections that are there already end with the old limit
        return all("currently unavailable" not in demo.get(headers=JASON).html for _ in range(5))

    wait_until(served, 60, "the limit only counts")


def test_a_limit_for_one_caller(demo: Demo) -> None:
    """jason's requests go by version 2 of reviews, those of others by version 3."""
    apply(demo, "reviews-jason-v2.yaml")
    text = (RULES / "ratings-limit-by-source.yaml").read_text().replace("per: 1s", "per: 60s")
    demo.apply(text, "ratings-limit-by-source.yaml")
    wait_until(lambda: "currently unavailable" in demo.get(headers=JASON).html, 60, "the limit is felt")
    assert all("currently unavailable" not in demo.get().html for _ in range(5))


def test_retry(demo: Demo) -> None:
    apply(demo, "reviews-retry.yaml")
    assert versions(demo) == {"v1", "v2", "v3"}
    routes = demo.plane.proxy_config("productpage-v1", "routes")
    assert "connect-failure,reset" in str(routes)


@pytest.mark.complaint(6)
def test_sticky(demo: Demo) -> None:
    apply(demo, "reviews-sticky.yaml")
    instances = {user: {demo.get(headers={"end-user": user}).instance for _ in range(4)} for user in "abcdefghij"}
    assert all(len(seen) == 1 for seen in instances.values()), instances
    assert len(set.union(*instances.values())) > 1
    assert versions(demo) == {"v1", "v2", "v3"}


def test_circuit_breaker(demo: Demo) -> None:
    apply(demo, "reviews-circuit-breaker.yaml")
    assert versions(demo) == {"v1", "v2", "v3"}
    clusters = str(demo.plane.proxy_config("productpage-v1", "clusters"))
    assert "circuit" in clusters
    assert "outlier" in clusters


def test_three_state_breaker(demo: Demo) -> None:
    apply(demo, "ratings-three-state-breaker.yaml")
    assert "mesh.circuit_breaker" in str(demo.plane.proxy_config("reviews-v3", "clusters"))
    assert versions(demo) == {"v1", "v2", "v3"}
    assert "Ratings service is currently unavailable" not in demo.get().html
    rule = (RULES / "ratings-three-state-breaker.yaml").read_text()
    hasty = rule.replace("slowCallDuration: 1s", "slowCallDuration: 1ms").replace("slowCallRate: 80", "slowCallRate: 1")
    demo.apply(hasty, "hasty.yaml")
    wait_until(lambda: "Ratings service is currently unavailable" in demo.get().html, 10, "the breaker opens")
    apply(demo, "ratings-three-state-breaker.yaml")
    wait_until(lambda: 'class="stars' in demo.get().html, 10, "the stars are back")


@pytest.fixture
def bad_files(demo: Demo) -> Iterator[None]:
    """What is refused leaves no trace."""
    before = demo.plane.resources()
    history = demo.plane.history()
    yield
    assert demo.plane.resources() == before
    assert demo.plane.history() == history
    assert demo.get().status == 200


GOOD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {regex: "/a.*"}
    route:
    - destination: {host: reviews}
      weight: 10
"""


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("kind: VirtualService", "kind: VirtualServce"), 2, "VirtualServce"),
        (("hosts: [reviews]", "hosts: [reviews]\n  hots: [x]"), 7, "spec.hots"),
        (("weight: 10", "weight: ten"), 12, "spec.http[0].route[0].weight"),
        (("/a.*", "/a(.*"), 9, "spec.http[0].match[0].uri.regex"),
        (("destination: {host: reviews}", "destination: {host: reviews"), 0, "bad.yaml:"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_field(
    demo: Demo, tmp_path_factory: pytest.TempPathFactory, change: tuple[str, str], line: int, words: str
) -> None:
    path = tmp_path_factory.mktemp("bad") / "bad.yaml"
    path.write_text(GOOD.replace(*change))
    done = demo.mesh("apply", "--wait", "-f", str(RULES / "all-v1.yaml"), "-f", str(path))
    assert done.returncode == 1
    assert words in done.stderr
    assert (f"bad.yaml:{line}:" if line else "bad.yaml:") in done.stderr
    assert done.stdout == ""


def test_the_good_file_is_good(demo: Demo) -> None:
    demo.apply(GOOD)
    wait_until(lambda: demo.get().status == 200, 5, "a page")
