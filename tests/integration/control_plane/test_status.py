"""The status of resources, as a control plane that runs tells it of proxies that take, refuse and do not answer."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from google.protobuf.json_format import ParseDict
from google.rpc.status_pb2 import Status

from control_plane.resource import ASKED, asks_for
from mesh.node import Node
from mesh.xds import CLUSTER, LISTENER, ROUTE
from tests.harness.process import wait_until
from tests.integration.control_plane.support import STREAM, ControlPlane
from tests.simulation.worlds import sidecar

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
"""
ROUTE_OF = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: NAME}
spec: {hosts: [reviews], http: [{name: n, route: [{destination: {host: reviews}}]}]}
"""


class Client:
    """A state-of-the-world client that asks for everything it needs, as an Envoy would. It acknowledges all but the type
    `refused`."""

    def __init__(self, port: int, node: Node, refused: str = "") -> None:
        self._port = port
        self._node = node
        self._refused = refused
        self._names: dict[str, tuple[str, ...]] = {}

    async def run(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            stream = channel.stream_stream(
                STREAM,
                request_serializer=DiscoveryRequest.SerializeToString,
                response_deserializer=DiscoveryResponse.FromString,
            )()
            for type_url in (CLUSTER, LISTENER):
                await stream.write(ParseDict({"node": self._node.to_xds(), "type_url": type_url}, DiscoveryRequest()))
            while True:
                response = await stream.read()
                if (asked := ASKED.get(response.type_url)) is not None:
                    self._names[asked] = _needed(response)
                    await stream.write(DiscoveryRequest(type_url=asked, resource_names=self._names[asked]))
                await stream.write(self._answer(response))

    def _answer(self, response: Any) -> Any:
        answer = DiscoveryRequest(
            type_url=response.type_url,
            response_nonce=response.nonce,
            resource_names=self._names.get(response.type_url, ()),
        )
        if response.type_url == self._refused:
            answer.error_detail.CopyFrom(Status(code=3, message="there is no such thing here"))
        else:
            answer.version_info = response.version_info
        return answer


def _needed(response: Any) -> tuple[str, ...]:
    """The names that the resources of a response make a client ask for."""
    message = Cluster if response.type_url == CLUSTER else Listener
    found = [asks_for(response.type_url, message.FromString(each.value)) for each in response.resources]
    return tuple(dict.fromkeys(name for names in found for name in names))


def mesh(plane: ControlPlane, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh.cli.main", *words, "--server", f"http://127.0.0.1:{plane.http}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def proxies(plane: ControlPlane) -> list[Any]:
    return list(plane.call("GET", "/api/v1/proxies").body["items"])


def status(plane: ControlPlane, kind: str, name: str) -> dict[str, Any]:
    answer = plane.call("GET", f"/api/v1/status/resources?kind={kind}&name={name}")
    (item,) = answer.body["items"]
    return dict(item)


async def until(plane: ControlPlane, name: str, summary: str) -> dict[str, Any]:
    """The item, once it has come to that."""
    found: list[dict[str, Any]] = []

    def reached() -> bool:
        found.append(status(plane, "VirtualService", name))
        return bool(found[-1]["summary"] == summary)

    try:
        await asyncio.to_thread(wait_until, reached, 30.0, summary)
    except AssertionError:
        raise AssertionError(f"{found[-1]}, not {summary}") from None
    return found[-1]


@pytest.mark.complaint(4, 14, 22)
async def test_in_effect_shadowed_and_rejected(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite:///{tmp_path / 'mesh.db'}", tmp_path) as plane:
        assert plane.apply(SERVICE + ROUTE_OF.replace("NAME", "reviews")).status == 200
        assert status(plane, "VirtualService", "reviews")["summary"] == "accepted"
        async with asyncio.TaskGroup() as clients:
            taking = clients.create_task(Client(plane.xds, sidecar("page")).run())
            await until(plane, "reviews", "in effect on 1 of 1")
            # A second one for the same host does nothing; applying it says so, and so does its status.
            assert plane.apply(ROUTE_OF.replace("NAME", "reviews-canary")).status == 200
            shadowed = await until(plane, "reviews-canary", "shadowed by VirtualService default/reviews")
            assert [found["code"] for found in shadowed["findings"]] == ["IST0109"]
            refusing = clients.create_task(Client(plane.xds, sidecar("ratings"), refused=ROUTE).run())
            item = await until(plane, "reviews", "rejected by ratings-v1-1.default; in effect on 1 of 2")
            (nack,) = item["rejected"]
            assert (nack["type"], nack["message"]) == ("RDS", "there is no such thing here")
            table = await asyncio.to_thread(mesh, plane, "get", "vs")
            one = await asyncio.to_thread(mesh, plane, "status", "vs", "reviews")
            canary = await asyncio.to_thread(mesh, plane, "status", "vs", "reviews-canary")
            doctor = await asyncio.to_thread(mesh, plane, "doctor")
            file = tmp_path / "next.yaml"
            file.write_text(ROUTE_OF.replace("NAME", "reviews").replace("name: n,", "name: m,"))
            refused = await asyncio.to_thread(mesh, plane, "apply", "-f", str(file), "--wait")
            taking.cancel()
            refusing.cancel()
        assert refused.returncode == 1
        assert "was refused by a proxy, which goes on with what it had" in refused.stderr
        assert "there is no such thing here" in refused.stderr
        assert "rejected by ratings-v1-1.default; in effect on 1 of 2" in table.stdout
        assert "shadowed by VirtualService default/reviews" in table.stdout
        assert doctor.returncode == 1
        assert (
            "fail  refusals      ratings-v1-1.default: RDS: there is no such thing here" in doctor.stdout.splitlines()
        )
        assert "ok    proxies       2 connected" in doctor.stdout.splitlines()
        assert one.returncode == 1
        # What the page shows is this, but for how many and how long ago.
        page = (Path(__file__).parents[3] / "docs" / "status.md").read_text()
        shown = page.partition("$ mesh status vs reviews\n")[2].partition("```")[0]
        whole, _, shadow = shown.partition("$ mesh status vs reviews-canary\n")
        for printed, run in ((one.stdout, whole), (canary.stdout, shadow)):
            assert re.sub(r"\d+", "N", printed) == re.sub(r"\d+", "N", run)
            assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.complaint(14)
async def test_apply_waits_and_says_how_long_it_took(tmp_path: Path) -> None:
    file = tmp_path / "first.yaml"
    file.write_text(SERVICE + ROUTE_OF.replace("NAME", "reviews"))
    with ControlPlane(f"sqlite:///{tmp_path / 'mesh.db'}", tmp_path) as plane:
        async with asyncio.TaskGroup() as clients:
            tasks = [clients.create_task(Client(plane.xds, sidecar(name)).run()) for name in ("page", "ratings")]
            await asyncio.to_thread(wait_until, lambda: len(proxies(plane)) == 2, 30.0, "both proxies")
            result = await asyncio.to_thread(mesh, plane, "apply", "-f", str(file), "--wait")
            for task in tasks:
                task.cancel()
        assert result.returncode == 0, result.stderr
        last = result.stdout.splitlines()[-1]
        assert last.startswith("in effect on 2 of 2 proxies after ")
        assert " s (p50 " in last
        assert ", p99 " in last
