"""Who a request is from, by x-forwarded-for and how much of it is trusted."""

from __future__ import annotations

import pytest

from sidecar.config.model import Address, Hcm
from sidecar.http.forwarded import Forwarded

PEER = Address("10.0.0.9", 40000)


@pytest.mark.parametrize(
    ("direct", "hops", "forwarded_for", "client"),
    [
        (False, 0, b"1.1.1.1, 2.2.2.2", Address("2.2.2.2", 0)),
        (False, 1, b"1.1.1.1, 2.2.2.2", Address("1.1.1.1", 0)),
        (False, 2, b"1.1.1.1, 2.2.2.2", PEER),
        (False, 0, b"unknown", PEER),
        (False, 0, b" , ", PEER),
        (False, 0, b"2001:DB8::1", Address("2001:db8::1", 0)),
        (True, 0, b"1.1.1.1", PEER),
        (True, 1, b"1.1.1.1, 2.2.2.2", Address("2.2.2.2", 0)),
        (True, 2, b"1.1.1.1, 2.2.2.2", Address("1.1.1.1", 0)),
        (True, 3, b"1.1.1.1, 2.2.2.2", PEER),
    ],
)
def test_client(direct: bool, hops: int, forwarded_for: bytes, client: Address) -> None:
    forwarded = Forwarded(Hcm("in", (), use_remote_address=direct, xff_num_trusted_hops=hops))
    assert forwarded.client(forwarded_for, PEER) == client
