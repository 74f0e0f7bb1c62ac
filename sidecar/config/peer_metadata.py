"""The configuration of Istio's peer metadata filter: what it does is built in, but for whom it tells of this workload.

https://github.com/istio/proxy/blob/master/source/extensions/filters/http/peer_metadata/config.proto
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.config.reader import Reader

PEER_CONFIG: Final = "io.istio.http.peer_metadata.Config"
_PROPAGATION: Final = "upstream_propagation"
_BUILT_IN: Final = ("upstream_discovery", "downstream_discovery", "downstream_propagation")


def keeps_to_mesh(reader: Reader, config: Mapping[str, Any]) -> bool:
    """Whether services outside of the mesh are told nothing of this workload."""
    for field in sorted(config.keys() - {_PROPAGATION, *_BUILT_IN}):
        reader.problem("is not implemented", f"typed_config.{field}")
    methods = config.get(_PROPAGATION, [])
    if not isinstance(methods, list) or not all(isinstance(each, Mapping) for each in methods):
        reader.problem("must be a list of methods", f"typed_config.{_PROPAGATION}")
        return False
    headers = [each.get("istio_headers") for each in methods]
    return any(isinstance(each, Mapping) and bool(each.get("skip_external_clusters")) for each in headers)
