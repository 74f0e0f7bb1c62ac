"""The real Envoy takes virtual hosts as resources of their own (VHDS) over the stream that everything comes over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import ParseDict

from control_plane.ads import convergence
from control_plane.ads.hub import PushHub, unpacked
from control_plane.ads.server import AdsServer
from control_plane.ads.status import Convergence
from control_plane.translate import Translator, build
from mesh.node import INTERCEPT_REDIRECT, Node
from mesh.xds import LISTENER, ROUTE, VIRTUAL_HOST
from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.upstream import Upstream
from tests.integration.ads.support import (
    Config,
    ControlPlane,
    Envoy,
    config,
    control_plane,
    envoy,
    eventually,
    listener,
)
from tests.integration.ads.test_envoy import Load, started
from tests.simulation.worlds import service, world


def host(name: str, answer: str, *domains: str) -> Any:
    reply = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": answer}}}
    return ParseDict({"name": name, "domains": domains or [name.rpartition("/")[2]], "routes": [reply]}, VirtualHost())


def forwarding(name: str, cluster: str) -> Any:
    made = host(name, "")
    made.routes[0].route.cluster = cluster
    return made


def by_vhds(port: int, hosts: Mapping[str, Any]) -> Config:
    routes = RouteConfiguration(name="web")
    routes.vhds.config_source.ads.SetInParent()
    routes.vhds.config_source.resource_api_version = 2
    return {
        **config({}),
        LISTENER: {"in": listener("in", port, "web")},
        ROUTE: {"web": routes},
        VIRTUAL_HOST: {f"web/{name}": each for name, each in hosts.items()},
    }


def answers(*names: str, tag: str = "") -> dict[str, Any]:
    return {name: host(f"web/{name}", name + tag) for name in names}


async def asked(port: int, *names: str) -> list[str]:
    """What each of these hosts answers; the status where it is not 200."""
    found = []
    async with Client(port) as client:
        for name in names:
            await client.send(f"GET / HTTP/1.1\r\nhost: {name}\r\n\r\n".encode())
            response = await client.response()
            assert response is not None
            found.append(response.body.decode() if response.status == 200 else str(response.status))
    return found


async def answered(expected: list[str], port: int, *names: str) -> None:
    """Returns when the hosts answer so."""
    async with asyncio.timeout(10.0):
        while await asked(port, *names) != expected:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.05)


def pushes(plane: ControlPlane) -> dict[str, float]:
    return {kind: plane.metrics.values.get(f"pushed.{kind}", 0) for kind in ("rds", "vhds")}


async def test_one_host_of_many_comes_changes_and_goes(tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane:
        plane.publish(by_vhds(port, answers("a", "b", "c")))
        async with envoy(plane.server.port, True, tmp_path) as proxy:
            await started(plane, proxy)
            assert await asked(port, "a", "b", "c", "d") == ["a", "b", "c", "404"]
            before = pushes(plane)
            await plane.converged(by_vhds(port, {**answers("a", "c", "d"), **answers("b", tag=" again")}))
            assert await asked(port, "a", "b", "c", "d") == ["a", "b again", "c", "d"]
            await plane.converged(by_vhds(port, answers("a", "d")))
            assert await asked(port, "a", "b", "c", "d") == ["a", "404", "404", "d"]
            assert pushes(plane) == {"rds": before["rds"], "vhds": before["vhds"] + 2}
            assert await proxy.rejections() == {}
            assert synced(plane)
            assert await shown(proxy) == ["web/a", "web/d"]
            [routes] = unpacked(plane.hub.proxy_config("web-1", "routes"))
            assert [each["name"] for each in routes["virtual_hosts"]] == ["a", "d"]


async def shown(proxy: Envoy) -> list[str]:
    """The virtual hosts that an Envoy says it has."""
    dump = json.loads(await proxy.get("/config_dump?resource=dynamic_route_configs"))
    return [each["name"] for config in dump["configs"] for each in config["route_config"].get("virtual_hosts", ())]


async def test_a_domain_goes_from_one_host_to_another(tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane:
        plane.publish(by_vhds(port, {"a": host("web/a", "a", "a", "x")}))
        async with envoy(plane.server.port, True, tmp_path) as proxy:
            await started(plane, proxy)
            await plane.converged(by_vhds(port, {"b": host("web/b", "b", "a", "x")}))
            assert await asked(port, "a", "x") == ["b", "b"]
            await plane.converged(by_vhds(port, {"b": host("web/b", "b", "a"), "c": host("web/c", "c", "x")}))
            assert await asked(port, "a", "x") == ["b", "c"]
            assert await proxy.rejections() == {}


async def test_a_bad_host_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane:
        plane.publish(by_vhds(port, answers("a", "b")))
        async with envoy(plane.server.port, True, tmp_path) as proxy:
            await started(plane, proxy)
            bad = host("web/b", "b")
            bad.routes[0].match.safe_regex.regex = "("
            hosts = {**answers("a", tag=" again"), "b": bad, **answers("c")}
            refused = await plane.hub.convergence(plane.publish(by_vhds(port, hosts)), 10.0)
            assert refused.state == "nacked"
            await eventually(lambda: refused_hosts(plane) == ["web/b"], 10.0, "one refused host")
            await answered(["a again", "b", "c"], port, "a", "b", "c")  # the others were sent once more
            await plane.converged(by_vhds(port, answers("a", "b", "c")))
            assert plane.hub.proxies()[0].types["VHDS"].state == "SYNCED"


def refused_hosts(plane: ControlPlane) -> list[str]:
    return [each.resource for each in report(plane).nacks]


def report(plane: ControlPlane) -> Convergence:
    ledger = plane.hub._ledger
    return convergence.report(plane.revision, ledger.find(plane.revision), 0.0)


async def test_it_comes_back_with_what_it_has(tmp_path: Path) -> None:
    """Hosts that have gone meanwhile go, and one that has their domain comes, in whatever order."""
    port, xds_port = free_port(), free_port()
    async with control_plane(f"127.0.0.1:{xds_port}") as plane:
        plane.publish(by_vhds(port, answers("a", "b", "c")))
        async with envoy(xds_port, True, tmp_path) as proxy:
            await started(plane, proxy)
            await plane.server.stop()
            assert await asked(port, "a", "b", "c") == ["a", "b", "c"]
            async with control_plane(f"127.0.0.1:{xds_port}") as again:
                again.publish(by_vhds(port, {**answers("a"), "d": host("web/d", "d", "b", "d")}))
                await eventually(again.hub.proxies, 4.0, "reconnect")
                await eventually(lambda: synced(again), 5.0, "everything in sync")
                assert await asked(port, "a", "b", "c", "d") == ["a", "d", "404", "d"]
                assert await proxy.rejections() == {}


def synced(plane: ControlPlane) -> bool:
    [known] = plane.hub.proxies()
    return all(kind in known.types and known.types[kind].state == "SYNCED" for kind in ("LDS", "RDS", "VHDS"))


async def test_hosts_come_back_with_their_listener(tmp_path: Path) -> None:
    """An Envoy that has dropped the routes says nothing when it takes them again."""
    port, other = free_port(), free_port()
    async with control_plane() as plane:
        built = by_vhds(port, answers("a"))
        plane.publish(built)
        async with envoy(plane.server.port, True, tmp_path) as proxy:
            await started(plane, proxy)
            routes = {**built[ROUTE], "two": by_vhds(port, {})[ROUTE]["web"]}
            routes["two"].name = "two"
            both = {**built, LISTENER: {**built[LISTENER], "in2": listener("in2", other, "two")}, ROUTE: routes}
            both[VIRTUAL_HOST] = {**built[VIRTUAL_HOST], "two/a": host("two/a", "two")}
            await plane.converged(both)
            assert (await asked(port, "a"), await asked(other, "a")) == (["a"], ["two"])
            await plane.converged({**built, LISTENER: {}, ROUTE: {}, VIRTUAL_HOST: {}})
            await plane.converged(both)
            assert (await asked(port, "a"), await asked(other, "a")) == (["a"], ["two"])
            assert await proxy.rejections() == {}


async def test_no_request_is_lost_while_a_host_goes_to_other_clusters(tmp_path: Path) -> None:
    port = free_port()

    def at(name: str, upstream: int) -> Config:
        clusters = config({name: [upstream]})
        return {
            **by_vhds(port, {"web": forwarding("web/web", name), **answers("a", "b")}),
            **{kind: clusters[kind] for kind in clusters if kind not in (LISTENER, ROUTE)},
        }

    async with control_plane() as plane, Upstream() as upstream:
        plane.publish(at("v0", upstream.port))
        async with envoy(plane.server.port, True, tmp_path) as proxy:
            await started(plane, proxy)
            async with Load(port) as load:
                for step in range(1, 31):
                    await plane.converged(at(f"v{step}", upstream.port))
                    await eventually(lambda wanted=step * 20: load.statuses.total() > wanted, 5.0, "requests")
            assert set(load.statuses) == {200}, load.statuses
            assert await proxy.rejections() == {}
            assert await proxy.stat("cluster_manager.active_clusters") == 2  # the last one, and xds


async def test_captured_ports_and_the_explicit_proxy_have_theirs(tmp_path: Path) -> None:
    """As the control plane makes them: a port more, a service more, an EnvoyFilter on the routes, and back."""
    node = Node(
        "sidecar",
        "127.0.0.1",
        "web-1",
        service="web",
        interception=INTERCEPT_REDIRECT,
        outbound_port=free_port(),
        inbound_port=free_port(),
    )
    some = [service("a", 8081, 8082), service("b", 8081)]
    steps = [world(*some), world(*some, service("c", 8083)), world(*some, yaml=PATCH), world(*some)]
    hub = PushHub(Translator().build)
    server = AdsServer(hub, "127.0.0.1:0")
    await server.start()
    try:
        hub.publish(replace(steps[0], revision=1))
        async with envoy(server.port, True, tmp_path, node=node) as proxy:
            await proxy.ready(seconds=10.0)
            for revision, step in enumerate(steps, 1):
                hub.publish(replace(step, revision=revision))
                done = await hub.convergence(revision, 10.0)
                assert done.state == "converged", done
                whole = build(step, node)[ROUTE]
                expected = sorted(f"{name}/{host.name}" for name, c in whole.items() for host in c.virtual_hosts)
                assert sorted(await shown(proxy)) == expected
            assert await proxy.rejections() == {}
    finally:
        await server.stop()


PATCH = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: quick, namespace: default}
spec:
  configPatches:
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: "a.default.svc.cluster.local:8081"}}}
    patch: {operation: MERGE, value: {route: {timeout: 3s}}}
"""
