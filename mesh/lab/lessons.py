"""The eight lessons. A check gets the pages that it asked for and the configuration, and says what is missing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

JASON: Final = {"end-user": "jason"}
BREAKER: Final = "mesh.asyncmesh.io/circuit-breaker"


@dataclass(frozen=True, slots=True)
class Page:
    """One product page. `version` is that of its reviews, "none" where they could not be had; `rated` whether they came
    with what ratings says."""

    status: int
    version: str
    rated: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Facts:
    """`pages` in the order of the lesson's `asks`; `resources` are documents by kind."""

    pages: tuple[tuple[Page, ...], ...]
    resources: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """`setup` are example files and texts that are applied; `asks` the pages that the check wants: how many, with which
    headers. `check` gives what is missing, or an empty string."""

    name: str
    title: str
    story: str
    task: str
    look: tuple[str, ...]
    hint: str
    check: Callable[[Facts], str]
    setup: tuple[str, ...] = ()
    asks: tuple[tuple[int, Mapping[str, str]], ...] = ()


def _split(facts: Facts) -> str:
    versions = _seen(facts.pages[0])
    total = sum(versions.values())
    if not total:
        return "no page has reviews at all"
    if set(versions) - {"v1", "v2"}:
        return f"reviews came from {', '.join(sorted(versions))}; only v1 and v2 should answer"
    share = versions["v2"] / total
    return "" if 0.12 <= share <= 0.28 else f"{share:.0%} of {total} pages had reviews v2, 20 % is the task"


def _seen(pages: Sequence[Page]) -> Counter[str]:
    """The versions of reviews; pages without any are another matter."""
    return Counter(page.version for page in pages if page.version != "none")


def _header(facts: Facts) -> str:
    jason, others = (set(_seen(pages)) for pages in facts.pages)
    if jason != {"v2"}:
        return f"jason got reviews {', '.join(sorted(jason))}, and should get v2 only"
    return "" if others == {"v1"} else f"others got reviews {', '.join(sorted(others))}, and should get v1 only"


def _retries(facts: Facts) -> str:
    route = _routes(facts, "ratings")
    if not any(each.get("fault") for each in route):
        return "the fault of ratings is gone: it has to stay, the callers have to live with it"
    if not any((each.get("retries") or {}).get("attempts") for each in route):
        return "calls to ratings are not tried again yet"
    missing = sum(not page.rated for page in facts.pages[0])
    total = len(facts.pages[0])
    return "" if missing <= total * 0.15 else f"{missing} of {total} pages have no stars, at most 15 % may"


def _timeouts(facts: Facts) -> str:
    if not any(each.get("fault") for each in _routes(facts, "ratings")):
        return "the delay of ratings is gone: it has to stay"
    slowest = max(page.seconds for page in facts.pages[0])
    if any(page.status != 200 for page in facts.pages[0]):
        return "jason's page fails; it should come, if without reviews"
    return "" if slowest < 2 else f"jason waited {slowest:.1f} s for a page, and should wait less than 2 s"


def _breaker(facts: Facts) -> str:
    for rule in _rules(facts, "ratings"):
        if BREAKER in (rule["metadata"].get("annotations") or {}):
            failed = [page.status for page in facts.pages[0] if page.status != 200]
            return "" if not failed else f"{len(failed)} pages failed; the breaker should save them"
    return f"no DestinationRule of ratings has the annotation {BREAKER}"


def _ejection(facts: Facts) -> str:
    for rule in _rules(facts, "reviews"):
        found = (rule["spec"].get("trafficPolicy") or {}).get("outlierDetection") or {}
        errors = found.get("consecutive5xxErrors", 5)
        if found and 0 < errors <= 3 and found.get("maxEjectionPercent", 10) >= 50:
            return ""
        if found:
            return "outlierDetection is there; let it act after 3 errors in a row, on half of the instances at least"
    return "no DestinationRule of reviews has outlierDetection"


def _fault(facts: Facts) -> str:
    faults = [each["fault"].get("abort") for each in _routes(facts, "ratings") if each.get("fault")]
    if not any(faults):
        return "no route of ratings aborts anything yet"
    if any(page.status != 200 for page in facts.pages[0]):
        return "pages fail: that is more than ratings"
    without = sum(not page.rated for page in facts.pages[0])
    return "" if 0 < without < len(facts.pages[0]) else f"{without} of {len(facts.pages[0])} pages are without stars"


def _canary(facts: Facts) -> str:
    runs = [each["spec"]["record"] for each in facts.resources.get("ExperimentRun", ())]
    if not runs:
        return "no experiment has begun"
    best = [run for run in runs if run["phase"] in ("promoted", "rolled back")]
    return "" if best else f"the experiment is {runs[0]['phase']}: a verdict is wanted"


def _routes(facts: Facts, host: str) -> list[Mapping[str, Any]]:
    services = facts.resources.get("VirtualService", ())
    return [route for each in services if host in each["spec"]["hosts"] for route in each["spec"].get("http") or []]


def _rules(facts: Facts, host: str) -> list[Mapping[str, Any]]:
    found = facts.resources.get("DestinationRule", ())
    return [each for each in found if str(each["spec"]["host"]).partition(".")[0] == host]


V2: Final = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews, subset: v2}}]}]
"""
FLAKY: Final = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - fault: {at: upstream, abort: {httpStatus: 503, percentage: {value: 40}}}
    retries: {attempts: 0}
    route: [{destination: {host: ratings}}]
"""
SLOW: Final = FLAKY.replace(
    "at: upstream, abort: {httpStatus: 503, percentage: {value: 40}}",
    "delay: {fixedDelay: 7s, percentage: {value: 100}}",
)
STARS: Final[tuple[tuple[int, Mapping[str, str]], ...]] = ((60, {}),)

LESSONS: Final[tuple[Lesson, ...]] = (
    Lesson(
        "split",
        "A share for each version",
        "reviews runs in three versions, and callers get them in turn. A mesh can share out requests by weight, without a "
        "change in any service.",
        "Send 80 % of the requests to v1, 20 % to v2, none to v3.",
        ("mesh get vs", "mesh stat"),
        "A VirtualService with two destinations and weights: examples/bookinfo/networking/reviews-90-10.yaml is near.",
        _split,
        asks=((150, {}),),
    ),
    Lesson(
        "headers",
        "A version for some",
        "A test user should see the new version before anybody else. The user's name comes in a header, end-user.",
        "Let jason have reviews v2, and everybody else v1.",
        ("curl -H 'end-user: jason' http://127.0.0.1:8080/productpage",),
        "Two http routes, the first with `match: [{headers: {end-user: {exact: jason}}}]`. The first that matches wins.",
        _header,
        asks=((8, JASON), (8, {})),
    ),
    Lesson(
        "retries",
        "Trying again, and what it costs",
        "Four of ten calls to ratings fail; pages come without stars. Another try mostly works. But each try is a request "
        "more for a service that has trouble already: three tries at every hop of a chain of three are 27 requests for one.",
        "Leave the fault where it is, and make at most 15 % of the pages come without stars.",
        ("mesh stat", "mesh get vs ratings -o yaml"),
        "Add `retries: {attempts: 3, retryOn: 5xx}` to the route of ratings; the fault stays beside it.",
        _retries,
        setup=(V2, FLAKY),
        asks=STARS,
    ),
    Lesson(
        "timeouts",
        "Giving up in time",
        "Ratings takes seven seconds. reviews waits for it, and the page waits for reviews. Nobody waits seven seconds for "
        "a page.",
        "Make jason's page come within two seconds, with the delay still there.",
        ("time curl -s -o /dev/null http://127.0.0.1:8080/productpage",),
        "`timeout: 0.5s` on the route of reviews: the page asks twice before it gives up.",
        _timeouts,
        setup=(V2, SLOW),
        asks=((2, JASON),),
    ),
    Lesson(
        "breaker",
        "The breaker",
        "When a service fails again and again, asking it is a waste of time for all. A circuit breaker refuses at once, and "
        "lets a few requests through from time to time to see.",
        "Give ratings a three-state breaker.",
        ("mesh breakers",),
        "A DestinationRule of ratings with the annotation: examples/bookinfo/networking/ratings-three-state-breaker.yaml.",
        _breaker,
        setup=(V2, FLAKY),
        asks=((20, {}),),
    ),
    Lesson(
        "ejection",
        "Throwing out the sick",
        "One bad instance among good ones fails for a share of all callers. Outlier detection takes it out of the pool.",
        "Let an instance of reviews be out after three errors in a row, and allow half of them to be out.",
        ("mesh get dr reviews -o yaml",),
        "trafficPolicy.outlierDetection: consecutive5xxErrors, maxEjectionPercent. The subsets have to stay.",
        _ejection,
    ),
    Lesson(
        "faults",
        "Breaking things on purpose",
        "Does a page come when ratings fails? One may wait for the night when it does, or try it now.",
        "Let some calls to ratings fail, and see that every page still comes.",
        ("mesh stat", "curl -s http://127.0.0.1:8080/productpage | grep -c unavailable"),
        "`fault: {abort: {httpStatus: 503, percentage: {value: 50}}}` in a VirtualService of ratings.",
        _fault,
        setup=(V2,),
        asks=STARS,
    ),
    Lesson(
        "canary",
        "A canary, with statistics",
        "Is v3 as good as v1? Looking at a graph until it looks good is how wrong answers are made. An experiment compares "
        "both, says how sure it is, and rolls back by itself.",
        "Run an experiment about reviews v3 until it has a verdict.",
        ("mesh experiment list", "mesh experiment watch reviews-v3"),
        "mesh experiment run examples/experiments/reviews-v3.yaml",
        _canary,
    ),
)
