"""examples/dns/sidecar.yaml does what docs/dns.md says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml

from tests.harness.dns_server import NXDOMAIN, SERVFAIL, Answer, DnsServer, Fail
from tests.harness.envoy import ROOT
from tests.harness.ports import free_port
from tests.harness.process import Process, admin_ready
from tests.harness.sidecar import sidecar_command
from tests.harness.upstream import Upstream
from tests.integration.dns.proxies import Proxy

EXAMPLE = ROOT / "examples" / "dns" / "sidecar.yaml"


async def test_the_example(tmp_path: Path) -> None:
    text = await asyncio.to_thread(EXAMPLE.read_text)
    admin, port = free_port(), free_port()
    async with Upstream() as upstream, DnsServer() as dns:
        dns.zone["app.test"] = Answer("127.0.0.1", ttl=1)
        for written, ours in ((18090, admin), (18080, port), (15353, dns.port), (18081, upstream.port)):
            assert f"port_value: {written}" in text
            text = text.replace(f"port_value: {written}", f"port_value: {ours}")
        config = tmp_path / "sidecar.yaml"
        await asyncio.to_thread(config.write_text, text)
        assert yaml.safe_load(text)["typed_dns_resolver_config"]
        with Process(sidecar_command(config), tmp_path / "log") as process:
            await asyncio.to_thread(process.wait_ready, admin_ready(admin))
            it = Proxy(dns, admin, port)
            await it.until_hosts("app", f"127.0.0.1:{upstream.port}")
            assert await it.get("app") == 200
            dns.zone["app.test"] = Fail(SERVFAIL)
            await it.until_looked_up("app", 1)
            assert await it.get("app") == 200
            dns.zone["app.test"] = Fail(NXDOMAIN)
            await it.until_hosts("app")
            assert await it.get("app") == 503
