"""SETTINGS, read and said."""

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_settings import PeerSettings, own_settings
from sidecar.config.http2_model import Http2


def test_what_we_say_is_what_envoy_says() -> None:
    assert own_settings(Http2(), server=True) == [(1, 4096), (8, 0), (3, 1024), (4, 16777216)]
    assert own_settings(Http2(), server=False)[1] == (frames.ENABLE_PUSH, 0)
    assert own_settings(Http2(custom_settings=((0x4D44, 7),)), server=True)[-1] == (0x4D44, 7)


def test_the_smallest_table_of_a_frame_is_noted() -> None:
    peer = PeerSettings()
    peer.read(b"\0\1\0\0\0\0" + b"\0\1\0\0\1\0", from_server=False)
    assert (peer.smallest_table_size, peer.header_table_size) == (0, 256)
    peer.read(b"", from_server=False)
    assert (peer.smallest_table_size, peer.header_table_size) == (256, 256)
