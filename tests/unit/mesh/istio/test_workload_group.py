from __future__ import annotations

import pytest

from mesh.errors import ConfigError
from mesh.istio.load import load

HEAD = "apiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: x}}\nspec: {{{}}}\n"


def test_a_group() -> None:
    spec = """metadata: {labels: {app: a}}, template: {labels: {app: b, tier: c}, ports: {http: 8080}, locality: eu/x},
      probe: {periodSeconds: 5, exec: {command: [test, -f, /ok]}}"""
    (resource,) = load(HEAD.format("WorkloadGroup", spec))
    assert resource.spec.labels == {"app": "a", "tier": "c"}
    assert resource.spec.probe.exec.command == ("test", "-f", "/ok")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("probe: {tcpSocket: {port: 1}}", "template: is required"),
        ("template: {address: 10.0.0.1}", "template.address: known to Istio, not implemented yet"),
        ("template: {network: a}", "template.network: known to Istio, not implemented yet"),
        ("template: {ports: {a b: 1}}", "is not the name of a port"),
        ("template: {}, probe: {}", "one of httpGet, tcpSocket, exec and grpc must be set"),
        ("template: {}, probe: {httpGet: {port: 1, scheme: FTP}}", "scheme: must be one of HTTP, HTTPS"),
        ("template: {}, probe: {httpGet: {port: 1, host: a b}}", "httpGet.host"),
        ("template: {}, probe: {httpGet: {port: 1, httpHeaders: [{name: a b}]}}", "httpHeaders[0].name"),
        ("template: {}, probe: {httpGet: {port: 1, path: a b}}", "path"),
        ("template: {}, probe: {exec: {command: []}}", "command: must not be empty"),
    ],
)
def test_what_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(HEAD.format("WorkloadGroup", spec))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("image: {imageType: debug}", "image: known to Istio, not implemented yet"),
        ("concurrency: -1", "concurrency: must be at least 0"),
        ("environmentVariables: {'A=B': c}", "is not the name of a variable"),
        ("selector: {matchLabel: {}}", 'did you mean "matchLabels"?'),
    ],
)
def test_what_a_proxy_config_is_refused_for(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(HEAD.format("ProxyConfig", spec))
    assert problem in str(caught.value)
