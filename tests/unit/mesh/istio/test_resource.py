from __future__ import annotations

from mesh.istio.resource import Key


def test_a_key_reads_as_a_path() -> None:
    assert str(Key("VirtualService", "prod", "reviews")) == "VirtualService/prod/reviews"
