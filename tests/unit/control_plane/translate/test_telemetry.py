from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate.cluster_policy import HTTP_OPTIONS
from control_plane.translate.indexes import index_of
from control_plane.translate.telemetry import access_logs, otlp_cluster, tracing
from control_plane.world import AccessLogEncoding, Collector, MeshConfig
from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from mesh.node import ServicePort
from tests.simulation.worlds import service, sidecar, world

NOWHERE = index_of(world())


def log(mesh: MeshConfig) -> FileAccessLog:
    (found,) = access_logs(mesh)
    unpacked = FileAccessLog()
    found.typed_config.Unpack(unpacked)
    return unpacked


def test_access_logs() -> None:
    assert access_logs(MeshConfig(access_log_file="")) == []
    assert log(MeshConfig()).path == "/dev/stdout"
    assert log(MeshConfig()).log_format.text_format_source.inline_string == ISTIO_TEXT
    for said in ("%PROTOCOL%", "%PROTOCOL%\n"):  # a line ends, whether or not that was written
        own = log(MeshConfig(access_log_format=said))
        assert own.log_format.text_format_source.inline_string == "%PROTOCOL%\n"
    json = log(MeshConfig(access_log_encoding=AccessLogEncoding.JSON)).log_format.json_format
    assert dict(json) == ISTIO_JSON
    own_json = MeshConfig(access_log_encoding=AccessLogEncoding.JSON, access_log_format='{"a": "%PROTOCOL%"}')
    assert dict(log(own_json).log_format.json_format) == {"a": "%PROTOCOL%"}
    text = MeshConfig(access_log_encoding=AccessLogEncoding.JSON, access_log_format="%PROTOCOL%")
    assert dict(log(text).log_format.json_format) == ISTIO_JSON  # a text is no format for JSON


def test_traces() -> None:
    assert tracing(NOWHERE, MeshConfig(enable_tracing=False), sidecar()) is None
    found = tracing(NOWHERE, MeshConfig(sampling=1.5), sidecar())
    assert (found.random_sampling.value, found.overall_sampling.value) == (1.5, 100)
    assert not found.HasField("provider")
    tags = {tag.tag: tag.literal.value for tag in found.custom_tags}
    assert (tags["istio.canonical_service"], tags["istio.canonical_revision"]) == ("productpage", "v1")


def test_spans_go_to_the_endpoint() -> None:
    mesh = MeshConfig(otlp_endpoint="http://collector:4318/v1/traces")
    provider = OpenTelemetryConfig()
    assert tracing(NOWHERE, mesh, sidecar()).provider.typed_config.Unpack(provider)
    assert provider.service_name == "productpage.default"
    assert provider.http_service.http_uri.uri == mesh.otlp_endpoint
    cluster = otlp_cluster(mesh)
    assert provider.http_service.http_uri.cluster == cluster.name
    assert cluster.type == Cluster.STRICT_DNS


def test_spans_over_grpc() -> None:
    mesh = MeshConfig(otlp_endpoint="grpc://127.0.0.1:4317")
    provider = OpenTelemetryConfig()
    assert tracing(NOWHERE, mesh, sidecar()).provider.typed_config.Unpack(provider)
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


def exporter(mesh: MeshConfig) -> OpenTelemetryConfig | None:
    collectors = world(service("otel", ServicePort(4317, "grpc", "GRPC"), 4318, namespace="seeing"))
    found = tracing(index_of(collectors), mesh, sidecar())
    provider = OpenTelemetryConfig()
    assert not found.HasField("provider") or found.provider.typed_config.Unpack(provider)
    return provider if found.HasField("provider") else None


def test_spans_go_to_a_service_of_the_mesh() -> None:
    host = "otel.seeing.svc.cluster.local"
    grpc = exporter(MeshConfig(collector=Collector(host, 4317, timeout=2.0)))
    assert grpc is not None
    assert grpc.grpc_service.envoy_grpc.cluster_name == f"outbound|4317||{host}"
    assert grpc.grpc_service.timeout.seconds == 2
    http = exporter(MeshConfig(collector=Collector(host, 4318, "/v1/traces", namespace="seeing")))
    assert http is not None
    uri = http.http_service.http_uri
    assert (uri.uri, uri.cluster) == (f"http://{host}:4318/v1/traces", f"outbound|4318||{host}")


def test_spans_that_nobody_takes_stay() -> None:
    for collector in (
        Collector("nobody.example", 4317),
        Collector("otel.seeing.svc.cluster.local", 1),
        Collector("otel.seeing.svc.cluster.local", 4317, namespace="other"),
    ):
        assert exporter(MeshConfig(collector=collector)) is None
