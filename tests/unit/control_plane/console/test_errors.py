"""Who is answered at all."""

from __future__ import annotations

import pytest

from control_plane.console.errors import AllowedHosts

HOSTS = AllowedHosts(["plane.example.com", "*.mesh.internal", "Upper.Example.com."])


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:15080",
        "LOCALHOST",
        "mesh.localhost",
        "127.0.0.1",
        "10.1.2.3:15080",
        "[::1]:15080",
        "[fe80::1]",
        "control-plane:15080",
        "plane.example.com",
        "plane.example.com.:15080",
        "upper.example.com",
        "a.mesh.internal",
        "a.b.mesh.internal:1",
    ],
)
def test_names_that_no_stranger_can_point_here(host: str) -> None:
    assert HOSTS.includes(host)


@pytest.mark.fault(5)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:15080",
        "example.com",
        "x.plane.example.com",
        "mesh.internal",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1].evil.example",
        "[evil.example]",
        "[::1",
        "localhost:evil.example",
        "localhost:80@evil.example",
        "",
        ".",
        ":80",
    ],
)
def test_every_other_name_is_refused(host: str) -> None:
    assert not HOSTS.includes(host)
