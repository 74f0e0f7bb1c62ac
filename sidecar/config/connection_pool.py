"""`filter_metadata["mesh.connection_pool"]` of a cluster → Resend. An Envoy takes it for metadata and no more.

A host may close a connection that rests while a request is on its way to it. The request never was seen, and yet Envoy
answers 503 unless a retry policy says otherwise; `resend_on_reused_connection` has such a request sent again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.config.model import Resend
from sidecar.config.reader import Reader

KEY: Final = "mesh.connection_pool"
_FIELD: Final = "resend_on_reused_connection"


def resend(reader: Reader, metadata: Mapping[str, Mapping[str, Any]]) -> Resend:
    """Which requests are sent again; without the metadata none, as in Envoy."""
    chosen = Resend.NEVER
    for name, value in metadata.get(KEY, {}).items():
        path = f'metadata.filter_metadata["{KEY}"].{name}'
        if name != _FIELD:
            reader.problem("is not known", path)
        elif not isinstance(value, str) or value.upper() not in Resend.__members__:
            words = ", ".join(each.value for each in Resend)
            reader.problem(f"is {value!r}, must be one of {words}", path)
        else:
            chosen = Resend[value.upper()]
    return chosen
