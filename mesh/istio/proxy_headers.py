"""`defaultConfig.proxyHeaders`: which headers proxies add to what passes them.

https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig-ProxyHeaders
"""

from __future__ import annotations

from enum import StrEnum

from mesh.istio.model import Message
from mesh.istio.scalars import HeaderText, Word


class ServerHeader(Message):
    """`server` of responses: the app's own if `disabled`, else `value`."""

    disabled: bool = False
    value: HeaderText = ""


class Disabled(Message):
    disabled: bool = False


class Enabled(Message):
    enabled: bool = False


class MetadataExchangeMode(StrEnum):
    UNDEFINED = "UNDEFINED"
    IN_MESH = "IN_MESH"


class MetadataExchangeHeaders(Message):
    """Who is told what a workload is: everybody, or those in the mesh."""

    mode: Word[MetadataExchangeMode] = MetadataExchangeMode.UNDEFINED


class ProxyHeaders(Message):
    server: ServerHeader | None = None
    request_id: Disabled | None = None
    attempt_count: Disabled | None = None
    envoy_debug_headers: Disabled | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    x_forwarded_host: Enabled | None = None
    x_forwarded_port: Enabled | None = None
    preserve_http1_header_case: bool = False
