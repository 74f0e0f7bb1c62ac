"""Flagger's and Argo's documents become Experiments that are accepted, and nothing is lost in silence."""

from __future__ import annotations

import pytest

from mesh.experiments.foreign import ForeignError, translate
from mesh.istio.load import load_documents

CANARY = """
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo, namespace: test}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  progressDeadlineSeconds: 60
  service: {port: 9898, gateways: [public]}
  analysis:
    interval: 1m
    threshold: 5
    stepWeight: 10
    maxWeight: 30
    metrics:
    - {name: request-success-rate, interval: 1m, thresholdRange: {min: 99}}
    - {name: request-duration, interval: 1m, thresholdRange: {max: 500}}
    - {name: own, templateRef: {name: own}}
    webhooks: [{name: load, url: http://loadtester/}]
"""
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: service-name}]
  metrics:
  - name: success-rate
    interval: 5m
    successCondition: result[0] >= 0.95
    failureLimit: 3
    provider:
      prometheus:
        address: http://prometheus:9090
        query: sum(rate(ok[5m])) / sum(rate(all[5m]))
  - name: job
    provider: {job: {}}
"""


def test_a_canary() -> None:
    document, left_out = translate(CANARY)
    load_documents([document])
    spec = document["spec"]
    steps = [{"weight": weight, "duration": "1m"} for weight in (10, 20, 30)]
    assert spec["strategy"] == {"canary": {"steps": steps}}
    assert spec["checks"] == [{"errorShare": {"max": 1.0}}, {"latency": {"quantile": 0.99, "max": "500ms"}}]
    for word in ("progressDeadlineSeconds", "service.gateways", "threshold", "metric own", "webhooks", "subsets"):
        assert any(word in line for line in left_out), (word, left_out)


def test_an_analysis_template() -> None:
    document, left_out = translate(TEMPLATE)
    load_documents([document])
    spec = document["spec"]
    assert spec["guards"] == [{"promql": "-(sum(rate(ok[5m])) / sum(rate(all[5m])))", "max": -0.95}]
    assert spec["prometheus"] == "http://prometheus:9090"
    assert any("metric job" in line for line in left_out)
    assert any("service-name" in line for line in left_out)


@pytest.mark.parametrize("text", ["", "kind: Pod", "[a", "{kind: Canary"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ForeignError):
        translate(text)
