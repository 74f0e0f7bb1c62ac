"""TcpProxy → TcpProxy."""

from __future__ import annotations

from sidecar.config.access_log import access_logs
from sidecar.config.metadata_match import compiled, match_fields, metadata_match
from sidecar.config.model import TcpProxy, WeightedCluster
from sidecar.config.reader import Reader

IDLE_TIMEOUT = 3600.0


def tcp_proxy(reader: Reader) -> TcpProxy:
    interval, connects = reader.seconds("access_log_flush_interval"), reader.flag("flush_access_log_on_connected")
    if (options := reader.child("access_log_options")) is not None:
        interval = options.seconds("access_log_flush_interval") or interval
        connects = options.flag("flush_access_log_on_connected") or connects
    return TcpProxy(
        stat_prefix=reader.text("stat_prefix"),
        clusters=_clusters(reader),
        idle_timeout=reader.seconds("idle_timeout", IDLE_TIMEOUT),
        access_logs=access_logs(reader),
        max_connect_attempts=reader.number("max_connect_attempts", 1),
        max_duration=reader.seconds("max_downstream_connection_duration"),
        hash_source_ip=_hashes_source(reader),
        log_interval=interval,
        log_connects=connects,
    )


def _hashes_source(reader: Reader) -> bool:
    """The one hash policy that a TCP proxy may have."""
    found = False
    for each in reader.children("hash_policy"):
        each.refuse("filter_state")
        found = found or each.child("source_ip") is not None
    return found


def _clusters(reader: Reader) -> tuple[WeightedCluster, ...]:
    wanted = match_fields(reader)
    if reader.has("cluster"):
        return (WeightedCluster(reader.text("cluster"), 1, metadata_match=compiled(wanted)),)
    weighted = reader.child("weighted_clusters")
    if weighted is None:
        return ()
    return tuple(
        WeightedCluster(each.text("name"), each.number("weight"), metadata_match=metadata_match(each, wanted))
        for each in weighted.children("clusters")
    )
