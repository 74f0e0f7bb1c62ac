from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate.cluster_policy import HTTP_OPTIONS
from control_plane.translate.telemetry import access_logs, otlp_cluster, tracing
from control_plane.world import AccessLogEncoding, MeshConfig
from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from tests.simulation.worlds import sidecar


def log(mesh: MeshConfig) -> FileAccessLog:
    (found,) = access_logs(mesh)
    unpacked = FileAccessLog()
    found.typed_config.Unpack(unpacked)
    return unpacked


def test_access_logs() -> None:
    assert access_logs(MeshConfig(access_log_file="")) == []
    assert log(MeshConfig()).path == "/dev/stdout"
    assert log(MeshConfig()).log_format.text_format_source.inline_string == ISTIO_TEXT
    own = log(MeshConfig(access_log_format="%PROTOCOL%\n"))
    assert own.log_format.text_format_source.inline_string == "%PROTOCOL%\n"
    json = log(MeshConfig(access_log_encoding=AccessLogEncoding.JSON)).log_format.json_format
    assert dict(json) == ISTIO_JSON


def test_traces() -> None:
    assert tracing(MeshConfig(enable_tracing=False), sidecar()) is None
    found = tracing(MeshConfig(sampling=1.5), sidecar())
    assert (found.random_sampling.value, found.overall_sampling.value) == (1.5, 100)
    assert not found.HasField("provider")
    tags = {tag.tag: tag.literal.value for tag in found.custom_tags}
    assert (tags["istio.canonical_service"], tags["istio.canonical_revision"]) == ("productpage", "v1")


def test_spans_go_to_the_endpoint() -> None:
    mesh = MeshConfig(otlp_endpoint="http://collector:4318/v1/traces")
    provider = OpenTelemetryConfig()
    assert tracing(mesh, sidecar()).provider.typed_config.Unpack(provider)
    assert provider.service_name == "productpage.default"
    assert provider.http_service.http_uri.uri == mesh.otlp_endpoint
    cluster = otlp_cluster(mesh)
    assert provider.http_service.http_uri.cluster == cluster.name
    assert cluster.type == Cluster.STRICT_DNS


def test_spans_over_grpc() -> None:
    mesh = MeshConfig(otlp_endpoint="grpc://127.0.0.1:4317")
    provider = OpenTelemetryConfig()
    assert tracing(mesh, sidecar()).provider.typed_config.Unpack(provider)
    cluster = otlp_cluster(mesh)
    assert provider.grpc_service.envoy_grpc.cluster_name == cluster.name
    options = HttpProtocolOptions()
    assert cluster.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    assert options.explicit_http_config.HasField("http2_protocol_options")


def test_where_the_endpoint_is() -> None:
    for url, kind, port in (
        ("http://127.0.0.1/v1/traces", Cluster.STATIC, 4318),
        ("http://[::1]:9/x", Cluster.STATIC, 9),
    ):
        cluster = otlp_cluster(MeshConfig(otlp_endpoint=url))
        address = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
        assert (cluster.type, address.port_value) == (kind, port)
