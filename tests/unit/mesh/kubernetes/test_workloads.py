from __future__ import annotations

import pytest

from mesh.istio.kinds import KINDS

PODS = {"containers": [{"image": "shop:1"}, {"image": "helper:2"}]}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod"])
def test_images_are_shown(kind: str) -> None:
    spec = PODS if kind == "Pod" else {"template": {"spec": PODS}}
    assert KINDS[kind].summary(spec) == "shop:1, helper:2"
