"""What connections have in progress, as the codec's statistics tell it, and whose they are."""

from __future__ import annotations

from sidecar.codec import h2_frames as frames
from sidecar.config.http2_model import Http2
from sidecar.telemetry.http2_stats import Http2Stats
from sidecar.telemetry.stats import ClusterStats, Stats
from tests.harness.h2_ends import NotingSession, headers, server


def read(stats: Stats) -> dict[str, float]:
    return {stat.name: stat.cell.value for part in stats.parts() for stat in part if hasattr(stat.cell, "value")}


def told(session: NotingSession) -> dict[str, float]:
    return read(session.registry)


def test_gauges_are_what_is_in_progress() -> None:
    session = server()
    session.receive(headers(1) + headers(3))
    session.seen[1].send_data(b"d" * 70_000, True)
    found = told(session)
    assert found["http2.streams_active"] == 2
    assert found["http2.pending_send_bytes"] == 70_000 - 65_535
    assert found["http2.outbound_frames_active"] == 4  # of 16 KiB at most
    session.receive(frames.ping(b"12345678", ack=False))
    assert told(session)["http2.outbound_control_frames_active"] == 1
    session.take()
    found = told(session)
    assert found["http2.outbound_frames_active"] == found["http2.outbound_control_frames_active"] == 0
    session.end_streams("gone")
    found = told(session)
    assert found["http2.streams_active"] == found["http2.pending_send_bytes"] == 0


def test_a_peer_that_takes_nothing_is_seen() -> None:
    session = server(Http2(initial_stream_window_size=65_535))
    session.receive(headers(1))
    session.blocked = True
    session.seen[1].send_data(b"d" * 10, True)
    assert told(session)["http2.pending_send_bytes"] == 10


def test_a_clusters_are_there_from_its_first_connection_on_and_go_with_it() -> None:
    registry = Stats()
    cluster = ClusterStats(registry, "outbound|80||a")
    assert not any(".http2." in name for name in read(registry))
    counted = cluster.http2()
    assert cluster.http2() is counted
    counted.rx_reset.value += 1
    assert read(registry)["cluster.outbound|80||a.http2.rx_reset"] == 1
    after = ClusterStats(registry, "outbound|80||a")  # a changed cluster goes on counting
    assert after.http2().rx_reset is counted.rx_reset
    assert after.http2().connections is counted.connections
    cluster.close()
    assert read(registry)["cluster.outbound|80||a.http2.rx_reset"] == 1
    after.close()
    assert not any(".http2." in name for name in read(registry))
    assert after.http2() is after.http2()  # of a request that is still on its way
    late = ClusterStats(registry, "b")
    late.close()
    late.http2().rx_reset.value += 1
    assert not any(".http2." in name for name in read(registry))


def test_they_are_one_family_with_the_clusters_name_as_its_label() -> None:
    registry = Stats()
    ClusterStats(registry, "a").http2()
    ClusterStats(registry, "b").http2()
    Http2Stats(registry, "")
    families = {family.name: [row.text for row in family.rows] for family in registry.families()}
    assert families["cluster_http2_rx_reset"] == ['envoy_cluster_name="a"', 'envoy_cluster_name="b"']
    assert families["http2_rx_reset"] == [""]
