"""Where resources come from."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.reader import Reader
from sidecar.config.source import ads_source


def timeout_of(source: dict[str, Any] | None) -> float:
    config = {"service_name": "s", **({"eds_config": source} if source is not None else {})}
    reader = Reader(ParseDict(config, Cluster.EdsClusterConfig()))
    reader.text("service_name")
    timeout = ads_source(reader, "eds_config")
    reader.finish()
    return timeout


@pytest.mark.parametrize(
    ("source", "timeout"),
    [
        ({"ads": {}, "resource_api_version": "V3"}, 15.0),
        ({"ads": {}}, 15.0),
        ({"ads": {}, "initial_fetch_timeout": "0s"}, 0.0),
        ({"ads": {}, "initial_fetch_timeout": "3s"}, 3.0),
    ],
)
def test_ads(source: dict[str, Any], timeout: float) -> None:
    assert timeout_of(source) == timeout


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "eds_config: is required"),
        ({}, "eds_config: only ads is implemented"),
        ({"path_config_source": {"path": "/a"}}, "eds_config.path_config_source: is not implemented"),
        ({"self": {}}, "eds_config.self: is not implemented"),
        ({"ads": {}, "resource_api_version": "V2"}, "eds_config.resource_api_version: V2 is not implemented"),
    ],
)
def test_anything_else(source: dict[str, Any] | None, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        timeout_of(source)
    assert any(str(each).startswith(problem) for each in caught.value.problems)
