"""What a connection to a host is given."""

from __future__ import annotations

import socket

import pytest

from sidecar.config.model import TcpKeepalive
from sidecar.upstream.dial import keep_alive

NAMES = (socket.TCP_KEEPCNT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TcpKeepalive(), (None, None, None)),
        (TcpKeepalive(2, 30, 5), (2, 30, 5)),
        (TcpKeepalive(time=7), (None, 7, None)),
    ],
)
def test_keep_alive(config: TcpKeepalive, expected: tuple[int | None, ...]) -> None:
    with socket.socket() as plain, socket.socket() as kept:
        keep_alive(kept, config)
        assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        usual = [plain.getsockopt(socket.IPPROTO_TCP, name) for name in NAMES]
        assert [kept.getsockopt(socket.IPPROTO_TCP, name) for name in NAMES] == [
            system if value is None else value for value, system in zip(expected, usual, strict=True)
        ]
