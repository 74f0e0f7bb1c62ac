"""Fields that act elsewhere than in what proxies are told, and the tests that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.simulation.fields import Field
from tests.simulation.mesh_documents import DOCUMENTS

_TLS: Final = "tests/simulation/test_connections.py::test_a_gateway_passes_tls_on_by_name"
_IMAGES: Final = "tests/unit/mesh/kubernetes/test_workloads.py::test_images_are_shown"
_EXTERNAL: Final = "tests/simulation/test_kubernetes.py::test_an_external_name_is_looked_up"

_EGRESS: Final = "tests/simulation/test_egress.py::"
_INGRESS: Final = "tests/simulation/test_sidecar_ingress.py::"
_ENDPOINTS: Final = "tests/simulation/test_kubernetes.py::test_endpoints_are_those_of_the_service_of_their_name"

_MESH: Final = "tests/simulation/test_mesh_fields.py::test_each_field_does_something"
_LIMITS: Final = "tests/unit/mesh/istio/test_rate_limit.py::test_what_only_the_callers_proxy_knows"
_LIFE: Final = "tests/unit/mesh/experiments/test_lifecycle.py::"
_HELD: Final = "tests/unit/mesh/chaos/test_held.py::"
_GUARDS: Final = f"{_LIFE}test_a_guard_on_latency_and_one_on_a_query"
_CONNECTIONS: Final = f"{_HELD}test_connections_are_held_and_end_with_a_killed_runner"
_NAMES: Final = "tests/unit/mesh/chaos/test_names.py::test_answers_come_later_while_somebody_says_so"
EXPERIMENTS: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("Experiment", "Experiment"): {
        "question": "tests/unit/mesh/experiments/test_report.py::test_a_page_is_well_formed_escaped_and_alone",
        "where": "tests/unit/mesh/experiments/test_samples.py::test_only_what_has_all_labels_of_a_filter_counts",
        "guards": f"{_LIFE}test_decisions",
        "alpha": "tests/unit/mesh/experiments/test_calibration.py::test_a_a_experiments_with_peeking_at_every_interval",
        "power": "tests/unit/mesh/experiments/test_planning.py::test_a_plan_is_kept",
        "interval": "tests/integration/experiments/test_safety.py::test_a_guard_acts_within_an_interval",
        "warmUp": "tests/unit/control_plane/experiments/test_conductor.py::test_what_happens_in_the_warm_up_is_no_evidence",
        "maxDuration": f"{_LIFE}test_undecided_may_be_promoted",
        "errorBudget": f"{_LIFE}test_decisions",
        "noData": f"{_LIFE}test_what_cannot_be_read_is_held_and_then_rolled_back",
        "onInconclusive": f"{_LIFE}test_undecided_may_be_promoted",
        "onInconclusive: rollback": f"{_LIFE}test_decisions",
        "prometheus": "tests/unit/control_plane/experiments/test_collector.py::test_a_query_gives_one_number_or_none",
    },
    ("Experiment", "Guard"): {
        "*": _GUARDS,
        "errorShare": f"{_LIFE}test_decisions",
        "minimumRequests": f"{_LIFE}test_decisions",
    },
    ("Experiment", "Fault"): {
        "processes": f"{_LIFE}test_what_is_broken_by_hand_waits_for_it",
        "connections": _CONNECTIONS,
        "dns": _NAMES,
    },
    ("Experiment", "Processes"): {
        "*": f"{_HELD}test_a_workload_is_paused_until_it_is_mended",
        "signal: kill": f"{_HELD}test_a_workload_is_killed",
        "containers": "tests/unit/mesh/chaos/test_containers.py::test_a_container_goes_on",
        "controlPlane": f"{_LIFE}test_what_is_broken_by_hand_waits_for_it",
    },
    ("Experiment", "Connections"): {"*": _CONNECTIONS},
    ("Experiment", "SlowNames"): {
        "*": "tests/unit/mesh/chaos/test_names.py::test_answers_come_later_while_somebody_says_so"
    },
    ("ExperimentRun", "ExperimentRun"): {"record": f"{_LIFE}test_a_run_is_written_and_read"},
}

# (kind, message) → field ("*": the others) → test.
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
    ("Service", "ServiceSpec"): {"publishNotReadyAddresses": _ENDPOINTS, "type": _EXTERNAL},
    ("RateLimit", "HTTPMatchRequest"): dict.fromkeys(
        ("name", "port", "sourceLabels", "sourceNamespace", "gateways", "statPrefix"), _LIMITS
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
    # Either value takes the settings of TLS with it.
    ("Gateway", "Port"): {"protocol: TLS": _TLS, "protocol: HTTPS": _TLS},
    ("Gateway", "ServerTLSSettings"): {"mode": _TLS},
    **{
        (kind, "Container"): {"image": _IMAGES}
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")
    },
}


def shown_by(field: Field) -> str:
    """The test that shows a field, "" for none."""
    place = (field.kind, field.message)
    found = TESTS.get(place) or EXPERIMENTS.get(place, {})
    named = found.get(str(field)) or found.get(field.name) or found.get("*", "")
    return named or (_MESH if field.kind in DOCUMENTS else "")
