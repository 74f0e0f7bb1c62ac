"""Frames that are sent, with `hyperframe` as the reader."""

from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from sidecar.codec import h2_frames as frames


def read(data: bytes) -> Frame:
    found, length = Frame.parse_frame_header(memoryview(data[:9]))
    assert length == len(data) - 9
    found.parse_body(memoryview(data[9:]))
    return found


def test_frames() -> None:
    settings = read(frames.settings([(1, 4096), (4, 65535)]))
    assert isinstance(settings, SettingsFrame)
    assert settings.settings == {1: 4096, 4: 65535}
    goaway = read(frames.goaway(7, frames.ENHANCE_YOUR_CALM, b"why"))
    assert isinstance(goaway, GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (7, 11, b"why")
    ping = read(frames.ping(b"12345678", ack=True))
    assert isinstance(ping, PingFrame)
    assert ping.flags == {"ACK"}


def test_a_block_takes_as_many_frames_as_it_needs() -> None:
    whole = read(frames.header_block(3, b"b" * 100, True, 100))
    assert isinstance(whole, HeadersFrame)
    assert whole.flags == {"END_HEADERS", "END_STREAM"}
    data = frames.header_block(3, b"b" * 250, True, 100)
    first, second, third = read(data[:109]), read(data[109:218]), read(data[218:])
    assert first.flags == {"END_STREAM"}
    assert isinstance(second, ContinuationFrame)
    assert not second.flags
    assert third.flags == {"END_HEADERS"}
