"""The fault filter, within a chain."""

from __future__ import annotations

from sidecar.config.model import (
    FaultConfig,
    HeaderMatcher,
    HttpFilter,
)
from tests.unit.sidecar.config.build import (
    FAULT,
    T,
    hcm_of,
    parts,
)

ROUTER_FILTER = HttpFilter("envoy.filters.http.router", None)


def test_filters_in_order() -> None:
    given = parts()
    given.hcm["http_filters"][:0] = [
        {
            "name": "f",
            "disabled": True,
            "typed_config": {
                "@type": FAULT,
                "delay": {"fixed_delay": "2s", "percentage": {"numerator": 10}},
                "abort": {"grpc_status": 14, "percentage": {"numerator": 1, "denominator": "MILLION"}},
                "max_active_faults": 3,
                "headers": [{"name": "X-A"}],
            },
        },
        {"name": "u", "is_optional": True, "typed_config": {"@type": T + "mesh.Unknown"}},
    ]
    fault = FaultConfig(2.0, 100_000, 0, 14, 1, 3, (HeaderMatcher(b"x-a"),))
    assert hcm_of(given).filters == (HttpFilter("f", fault, disabled=True), ROUTER_FILTER)
