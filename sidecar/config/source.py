"""ConfigSource: where a resource comes from. ADS is all there is."""

from __future__ import annotations

from typing import Final

from sidecar.config.reader import Reader

FETCH_TIMEOUT: Final = 15.0


def ads_source(parent: Reader, field: str) -> float:
    """Checks that the ConfigSource says ADS; its initial_fetch_timeout (0.0: wait for ever)."""
    reader = parent.child(field)
    if reader is None:
        parent.problem("is required", field)
        return FETCH_TIMEOUT
    if reader.child("ads") is None:
        reader.problem("only ads is implemented")
    reader.only("resource_api_version", "V3")
    return reader.seconds("initial_fetch_timeout", FETCH_TIMEOUT)
