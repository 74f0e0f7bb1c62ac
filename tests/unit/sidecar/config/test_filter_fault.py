"""The fault filter, within a chain."""

from __future__ import annotations

from sidecar.config.model import (
    FaultConfig,
    HeaderMatcher,
    HttpFilter,
)
from sidecar.filters.router import RouterConfig
from tests.unit.sidecar.config.build import (
    FAULT,
    T,
    hcm_of,
    parts,
)

ROUTER_FILTER = HttpFilter("envoy.filters.http.router", RouterConfig())


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
    fault = FaultConfig(2.0, 100_000, 0, 14, 1, 3, (HeaderMatcher(b"x-a"),), abort_unit=1)
    assert hcm_of(given).filters == (HttpFilter("f", fault, disabled=True), ROUTER_FILTER)


def test_faults_that_requests_ask_for() -> None:
    given = parts()
    chance = {"numerator": 7, "denominator": "TEN_THOUSAND"}
    config = {"@type": FAULT, "delay": {"header_delay": {}, "percentage": chance}, "abort": {"header_abort": {}}}
    given.hcm["http_filters"].insert(0, {"name": "f", "typed_config": config})
    fault = FaultConfig(delay_chance=700, delay_by_header=True, abort_by_header=True, delay_unit=100)
    assert hcm_of(given).filters[0].config == fault


def test_response_rates() -> None:
    def compiled(**limit: object) -> FaultConfig:
        given = parts()
        fault = {"@type": FAULT, "response_rate_limit": {**limit, "percentage": {"numerator": 5}}}
        given.hcm["http_filters"].insert(0, {"name": "f", "typed_config": fault})
        config: FaultConfig = hcm_of(given).filters[0].config
        return config

    assert compiled(fixed_limit={"limit_kbps": 7}) == FaultConfig(rate_kbps=7, rate_chance=50_000)
    assert compiled(header_limit={}) == FaultConfig(rate_by_header=True, rate_chance=50_000)
