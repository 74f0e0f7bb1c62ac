from __future__ import annotations

import uuid

from sidecar.http import request_id


def test_ids_are_random_uuids() -> None:
    ids = [request_id.new() for _ in range(1000)]  # several batches
    assert len(set(ids)) == 1000
    for text in ids:
        parsed = uuid.UUID(text.decode())
        assert (str(parsed).encode(), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
    assert {text[19:20] for text in ids} == {b"8", b"9", b"a", b"b"}
