"""What is accepted with nothing but its default is no empty word: for each such field, as the readers know them, there is
a test that sees the default act. A field is added to `supported()` by its reader, and fails here until it has one."""

from __future__ import annotations

import ast

import pytest

from sidecar.config.table import supported
from tests.faults import ROOT
from tests.oracle.topics import TOPICS

# The last part of a message's name, and its field → a case of the oracle, or `file::test`, that fails when the default
# does not act.
PROOFS = {
    "PreconnectPolicy predictive_preconnect_ratio": "pool_preconnects",
    "RingHashLbConfig hash_function": "ring_hash_five",
    "RingHash hash_function": "ring_typed",
    "ApiConfigSource transport_api_version": "tests/integration/xds_client/test_client.py::test_first_round",
    "ConfigSource resource_api_version": "tests/integration/xds_client/test_client.py::test_first_round",
    "Http2ProtocolOptions allow_metadata": "h2_frame_metadata",
    "HttpHealthCheck codec_client_type": "check_http",
    "Http1ProtocolOptions allow_absolute_url": "absolute_form",
    "Http1ProtocolOptions override_stream_error_on_invalid_http_message": "garbage_line",
    "HttpProtocolOptions headers_with_underscores_action": "default_underscores_in_responses",
    "SchemeHeaderTransformation match_upstream": "trust_scheme",
    "SocketAddress protocol": "tcp_hashes_the_source",
    "HedgePolicy initial_requests": "hedge_in_time",
    "ResponseDirectionConfig status_header_enabled": "compressor_accepting_0",
    "TlsInspector enable_ja3_fingerprinting": "default_no_fingerprints",
    "TlsInspector enable_ja4_fingerprinting": "default_no_fingerprints",
    "HttpConnectionManager codec_type": "default_codec_found",
    "InternalAddressConfig unix_sockets": "trust_empty_internal_config",
    "Tracing spawn_upstream_span": "tests/unit/sidecar/telemetry/test_trace.py::test_a_span_tells_what_envoys_tells",
    "PreserveCaseFormatterConfig forward_reason_phrase": "default_reason_of_our_own",
    "CaresDnsResolverConfig edns0_max_payload_size": "tests/unit/sidecar/upstream/test_resolver.py::test_names",
    "UuidRequestIdConfig pack_trace_reason": "trust_edge_traced_from_inside",
    "UuidRequestIdConfig use_request_id_for_trace_sampling": (
        "tests/unit/sidecar/telemetry/test_trace.py::test_chances_are_drawn_as_envoy_draws_them"
    ),
}
FOUND = sorted(
    f"{message.rsplit('.', 1)[-1]} {field}"
    for message, fields in supported().items()
    for field, remark in fields.fields.items()
    if remark.startswith("only ")
)
CASES = {case.name for cases in TOPICS.values() for case in cases}


@pytest.mark.parametrize("field", FOUND)
def test_a_default_that_is_all_there_is_has_a_test_that_sees_it_act(field: str) -> None:
    assert field in PROOFS, "name a case of the oracle, or a test, that fails when the default does not act"
    file, _, name = PROOFS[field].partition("::")
    if not name:
        assert file in CASES
        return
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
