"""Fields that act elsewhere than in what proxies are told, and the tests that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.simulation.fields import Field
from tests.simulation.mesh_documents import DOCUMENTS

# (kind, message) → field ("*": the others) → test.
_EGRESS: Final = "tests/simulation/test_egress.py::"
_INGRESS: Final = "tests/simulation/test_sidecar_ingress.py::"
_ENDPOINTS: Final = "tests/simulation/test_kubernetes.py::test_endpoints_are_those_of_the_service_of_their_name"

_MESH: Final = "tests/simulation/test_mesh_fields.py::test_each_field_does_something"
_LIMITS: Final = "tests/unit/mesh/istio/test_rate_limit.py::test_what_only_the_callers_proxy_knows"

TESTS: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("Sidecar", "IstioEgressListener"): {
        "port": f"{_EGRESS}test_a_port_has_the_hosts_that_are_named_there",
        "bind": f"{_EGRESS}test_where_it_listens",
        "captureMode": f"{_EGRESS}test_where_it_listens",
        "captureMode: DEFAULT": f"{_EGRESS}test_a_port_has_the_hosts_that_are_named_there",
    },
    ("Sidecar", "SidecarPort"): {
        "*": f"{_EGRESS}test_the_listener_says_what_is_spoken",
        "number": f"{_EGRESS}test_a_port_has_the_hosts_that_are_named_there",
    },
    ("Sidecar", "IstioIngressListener"): {
        "bind": f"{_INGRESS}test_a_listener_of_its_own",
        "captureMode": f"{_INGRESS}test_a_listener_of_its_own",
    },
    ("Sidecar", "SidecarOutboundTrafficPolicy"): {"egressProxy": f"{_EGRESS}test_unknown_hosts_go_to_the_egress_proxy"},
    ("Sidecar", "Destination"): {"*": f"{_EGRESS}test_unknown_hosts_go_to_the_egress_proxy"},
    ("Sidecar", "PortSelector"): {"*": f"{_EGRESS}test_unknown_hosts_go_to_the_egress_proxy"},
    ("Service", "ServiceSpec"): {"publishNotReadyAddresses": _ENDPOINTS},
    ("RateLimit", "HTTPMatchRequest"): dict.fromkeys(
        ("name", "port", "sourceLabels", "sourceNamespace", "gateways"), _LIMITS
    ),
    ("MeshConfig", "ExtensionProvider"): {
        "prometheus": "tests/unit/control_plane/translate/test_providers.py::test_metrics_of_others"
    },
    ("Telemetry", "TagOverride"): {
        "operation": "tests/simulation/test_telemetry.py::test_metrics_may_be_other_than_usual"
    },
    ("Endpoints", "Endpoints"): {"*": _ENDPOINTS},
    ("Endpoints", "EndpointSubset"): {"*": _ENDPOINTS},
    ("Endpoints", "EndpointAddress"): {"*": _ENDPOINTS},
    ("Endpoints", "EndpointPort"): {"*": _ENDPOINTS},
}


def shown_by(field: Field) -> str:
    """The test that shows a field, "" for none."""
    found = TESTS.get((field.kind, field.message), {})
    named = found.get(str(field)) or found.get(field.name) or found.get("*", "")
    return named or (_MESH if field.kind in DOCUMENTS else "")
