"""Where a resource says something."""

from __future__ import annotations

from mesh.explain.origins import Origins, key_of
from mesh.explain.steps import Explanation, Named, Source, Step
from mesh.istio.load import load
from mesh.istio.resource import Key

YAML = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy:
    outlierDetection: {interval: 1s}
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      loadBalancer: {simple: RANDOM}
"""
CONFIG = "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
SUBSET = ("spec", "subsets", Named("v2"))


def origins(file: str = "dr.yaml") -> Origins:
    return Origins(load(YAML, file))


def test_istios_path_names_the_resource() -> None:
    assert key_of(CONFIG) == Key("DestinationRule", "default", "reviews")
    assert key_of("reviews") is None


def test_the_first_place_that_there_is() -> None:
    own, shared = (*SUBSET, "trafficPolicy", "outlierDetection"), ("spec", "trafficPolicy", "outlierDetection")
    found = origins().find(Source(CONFIG, (own, shared)))
    assert str(found) == "dr.yaml:7 spec.trafficPolicy.outlierDetection"
    found = origins().find(Source(CONFIG, ((*SUBSET, "trafficPolicy", "loadBalancer"), shared)))
    assert str(found) == "dr.yaml:14 spec.subsets[1].trafficPolicy.loadBalancer"


def test_without_a_file_it_is_the_name_that_tells() -> None:
    found = origins("").find(Source(CONFIG, (SUBSET,)))
    assert str(found) == "DestinationRule default/reviews spec.subsets[1]"


def test_what_is_left_at_the_default_has_no_origin() -> None:
    assert origins().find(Source(CONFIG, (("spec", "trafficPolicy", "connectionPool"),))) is None
    assert origins().find(Source(CONFIG, (("spec", "subsets", Named("v3")),))) is None


def test_the_whole_resource() -> None:
    assert str(origins().find(Source(CONFIG))) == "dr.yaml:1"


def test_a_resource_that_is_not_known_is_named() -> None:
    found = Origins(()).find(Source(CONFIG, (("spec", "subsets"),)))
    assert str(found) == "DestinationRule default/reviews spec.subsets"


def test_all_steps_are_looked_up() -> None:
    inner = Step("ejection", "…", source=Source(CONFIG, (("spec", "trafficPolicy"),)))
    looked = origins().looked_up(Explanation((Step("cluster", "…", steps=(inner,)),), "forwarded", "…"))
    assert [str(step.origin) for step in looked.all()] == ["None", "dr.yaml:6 spec.trafficPolicy"]
