"""dynamic_resources → where ADS is, and which resources come over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.config.model import Address, AdsConfig, Cluster
from sidecar.config.reader import Reader
from sidecar.config.source import FETCH_TIMEOUT, ads_source

_KINDS: Final = ("GRPC", "DELTA_GRPC")
_NOWHERE: Final = Address("", 0)

# Whatever a bootstrap allows (Envoy's own default is 30 s): a control plane that is back is found within this.
MAX_BACK_OFF: Final = 2.0
DEFAULT_BACK_OFF: Final = 0.5


def dynamic_resources(reader: Reader | None, clusters: tuple[Cluster, ...]) -> tuple[AdsConfig | None, bool, bool]:
    """(ADS, whether listeners come from it, whether clusters do)."""
    if reader is None:
        return None, False, False
    lds, cds = reader.has("lds_config"), reader.has("cds_config")
    lds_timeout = ads_source(reader, "lds_config") if lds else FETCH_TIMEOUT
    cds_timeout = ads_source(reader, "cds_config") if cds else FETCH_TIMEOUT
    config = reader.child("ads_config")
    if config is None:
        if lds or cds:
            reader.problem("is required when lds_config or cds_config says ads", "ads_config")
        return None, lds, cds
    kind = config.enum("api_type")
    if kind not in _KINDS:
        config.problem(f"{kind} is not implemented, only {' and '.join(_KINDS)} are", "api_type")
    config.only("transport_api_version", "V3")
    services = config.children("grpc_services")
    if len(services) != 1:
        config.problem(f"needs exactly one service, has {len(services)}", "grpc_services")
        return None, lds, cds
    ads = _grpc_service(services[0], {each.name: each for each in clusters})
    return replace(ads, delta=kind == "DELTA_GRPC", lds_timeout=lds_timeout, cds_timeout=cds_timeout), lds, cds


def _grpc_service(reader: Reader, clusters: Mapping[str, Cluster]) -> AdsConfig:
    reader.seconds("timeout")  # of single calls; the stream has none
    if (google := reader.child("google_grpc")) is not None:
        return _google(google)
    if (envoy := reader.child("envoy_grpc")) is not None:
        return _envoy(envoy, clusters)
    return AdsConfig("", _NOWHERE)


def _google(reader: Reader) -> AdsConfig:
    target = reader.text("target_uri")
    reader.text("stat_prefix")
    if (credentials := reader.child("channel_credentials")) is not None:
        credentials.child("local_credentials")  # plaintext, as without any
    host, _, port = target.removeprefix("dns:").lstrip("/").rpartition(":")
    if not host or not port.isdigit():
        reader.problem(f"{target!r} is not HOST:PORT", "target_uri")
        return AdsConfig("", _NOWHERE)
    return AdsConfig("", Address(host.strip("[]"), int(port)), backoff_base=DEFAULT_BACK_OFF, backoff_max=MAX_BACK_OFF)


def _envoy(reader: Reader, clusters: Mapping[str, Cluster]) -> AdsConfig:
    name = reader.text("cluster_name")
    reader.number("max_receive_message_length")  # messages have no limit here
    base, longest = _back_off(reader.child("retry_policy"))
    cluster = clusters.get(name)
    if cluster is None:
        reader.problem(f"there is no static cluster {name!r}", "cluster_name")
        return AdsConfig(name, _NOWHERE)
    if cluster.http2 is None:
        reader.problem(f"cluster {name!r} needs http2_protocol_options: ADS is gRPC", "cluster_name")
    endpoints = [
        each for place in (cluster.assignment.localities if cluster.assignment else ()) for each in place.endpoints
    ]
    if not endpoints:
        reader.problem(f"cluster {name!r} has no endpoint", "cluster_name")
    ads = AdsConfig(name, endpoints[0].address if endpoints else _NOWHERE, backoff_base=base, backoff_max=longest)
    if cluster.http2 is None or not cluster.http2.keepalive.interval:
        return ads
    keepalive = cluster.http2.keepalive
    return replace(ads, ping_interval=keepalive.interval, ping_timeout=keepalive.timeout)


def _back_off(reader: Reader | None) -> tuple[float, float]:
    """A core.v3.RetryPolicy's back-off, never longer than MAX_BACK_OFF."""
    wait = reader.child("retry_back_off") if reader is not None else None
    if wait is None:
        return DEFAULT_BACK_OFF, MAX_BACK_OFF
    base = wait.seconds("base_interval", DEFAULT_BACK_OFF)
    longest = wait.seconds("max_interval", base * 10)
    if longest < base:
        wait.problem("must not be less than base_interval", "max_interval")
    return min(base, MAX_BACK_OFF), min(longest, MAX_BACK_OFF)
