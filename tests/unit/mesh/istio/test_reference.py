from __future__ import annotations

import subprocess
import sys

from mesh.istio.kinds import KINDS
from mesh.istio.reference import markdown, messages

BY_NAME = {message.__name__: message for kind in KINDS.values() for message in messages(kind.model)}


def test_no_two_messages_share_a_name() -> None:
    classes = {message for kind in KINDS.values() for message in messages(kind.model)}
    assert len(classes) == len(BY_NAME)


def test_the_page_has_every_kind_field_and_refusal() -> None:
    page = markdown()
    for kind in KINDS.values():
        assert f"### {kind.name}\n" in page
    for message in BY_NAME.values():
        assert f"| {message.__name__} |" in page
        for name in message.field_names():
            assert f"`{name}`" in page
    assert "`mode: ISTIO_MUTUAL`" in page
    assert "PeerAuthentication" in page


def test_the_command_prints_the_page() -> None:
    result = subprocess.run([sys.executable, "-m", "mesh.istio"], capture_output=True, text=True, check=True)
    assert result.stdout == markdown()
