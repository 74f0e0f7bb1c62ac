"""Sidecars into compose files and out again: what is kept, what moves, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.compose.document import dump, load
from mesh.compose.inject import CONTROL_PLANE, EXTENSION, NETWORK, OF_THE_NETWORK, eject, inject

STACKS = sorted((Path(__file__).resolve().parents[3] / "compose" / "stacks").glob("*.yml"))
WEB = """
services:
  web:
    image: shop/web
    container_name: the-web
    hostname: w
    ports: ["8080:80", "127.0.0.1:${ADMIN:-9000}:9000"]
    links: ["db:database"]
    depends_on: [db]
    healthcheck: {test: curl -f http://localhost:80/}
    volumes: [data:/data]
    environment: {DATABASE: "postgresql://me:pw@db:5432/x"}
  db: {image: "docker.io/library/postgres:16-alpine"}
volumes: {data: {}}
"""


def stack(text: str) -> dict[str, Any]:
    return load(text, "docker-compose.yml")


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_in_twice_is_in_once_and_out_is_as_before(path: Path) -> None:
    before = stack(path.read_text())
    once = inject(before).document
    assert stack(path.read_text()) == before, "what was given is not changed"
    assert inject(once).document == once
    written = stack(dump(once))
    assert written == once
    assert eject(written) == before
    assert list(map(list, eject(written)["services"].values())) == list(map(list, before["services"].values()))


def test_a_service_keeps_all_but_its_network() -> None:
    before, after = stack(WEB)["services"], inject(stack(WEB)).document["services"]
    web, pod, sidecar = after["web"], after["web-pod"], after["web-sidecar"]
    for name in ("image", "container_name", "healthcheck", "volumes", "environment"):
        assert web[name] == before["web"][name]
    assert not set(web) & set(OF_THE_NETWORK)
    assert web["network_mode"] == sidecar["network_mode"] == "service:web-pod"
    assert pod["ports"] == before["web"]["ports"]
    assert pod["hostname"] == "w"
    assert pod["networks"]["default"]["aliases"] == ["web", "the-web"]
    assert web["depends_on"]["db"] == {"condition": "service_started"}
    assert web["depends_on"]["web-sidecar"] == {"condition": "service_healthy"}
    assert "restart" not in web["depends_on"]["web-sidecar"], "an app outlives its sidecar"
    assert after["db-pod"]["networks"]["default"]["aliases"] == ["db", "database"]


def test_what_is_spoken() -> None:
    joined = inject(stack(WEB)).joined
    assert [str(port) for port in joined["web"].ports] == ["80/http", "9000/http"]
    assert [str(port) for port in joined["db"].ports] == ["5432/tcp"]
    command = inject(stack(WEB)).document["services"]["db-sidecar"]["command"]
    assert command[-2:] == ["--port", "5432/tcp"]


def one(**fields: Any) -> dict[str, Any]:
    return {"services": {"a": {"image": "a", **fields}}}


@pytest.mark.parametrize(
    ("fields", "ports"),
    [
        ({"expose": ["3000", 9000]}, ["3000/http", "9000/http"]),
        ({"ports": ["8000-8002:8000-8002"]}, ["8000/http", "8001/http", "8002/http"]),
        ({"ports": ["53:53/udp", "[::1]:80:8080"]}, ["8080/http"]),
        ({"ports": [{"target": 80, "published": "8080"}]}, ["80/http"]),
        ({"environment": ["PORT=5000"]}, ["5000/http"]),
        ({"command": "gunicorn -b 0.0.0.0:8000 app"}, ["8000/http"]),
        ({"command": ["uvicorn", "app:app", "--port", "8000"]}, ["8000/http"]),
        ({"healthcheck": {"test": ["CMD", "curl", "http://localhost:4000/up"]}}, ["4000/http"]),
        ({"image": "redis:7"}, ["6379/tcp"]),
        ({"image": "rabbitmq:3-management", "ports": ["15672:15672"]}, ["5672/tcp", "15672/http"]),
        ({"labels": {"mesh.ports": "9000/tcp, 80"}}, ["9000/tcp", "80/http"]),
        ({"labels": ["mesh.ports=7000"], "expose": [1]}, ["7000/http"]),
        ({}, []),
    ],
)
def test_where_a_service_serves(fields: dict[str, Any], ports: list[str]) -> None:
    assert [str(port) for port in inject(one(**fields)).joined["a"].ports] == ports


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"network_mode": "host"}, "host"),
        ({"network_mode": "none"}, "no network"),
        ({"network_mode": "container:x"}, "in the network of another"),
        ({"deploy": {"replicas": 3}}, "3 replicas"),
        ({"scale": 2}, "2 replicas"),
        ({"external_links": ["x"]}, "external_links"),
        ({"extends": {"service": "b"}}, "extends"),
        ({"labels": {"mesh.inject": False}}, "mesh.inject"),
    ],
)
def test_who_cannot_join_is_left_as_it_was(fields: dict[str, Any], reason: str) -> None:
    document = {"services": {"a": {"image": "a", **fields}, "b": {"image": "b"}}}
    result = inject(document)
    assert reason in result.left_out["a"]
    assert result.document["services"]["a"] == document["services"]["a"]
    assert set(result.joined) == {"b"}


def test_who_shares_a_network_follows_it_into_the_pod() -> None:
    document = {"services": {"a": {"image": "a"}, "debug": {"image": "d", "network_mode": "service:a"}}}
    made = inject(document).document
    assert made["services"]["debug"]["network_mode"] == "service:a-pod"
    assert eject(made) == document


def test_several_networks_get_one_for_the_mesh() -> None:
    document = {
        "services": {"a": {"image": "a", "networks": ["x"]}, "b": {"image": "b", "networks": {"x": None, "y": {}}}},
        "networks": {"x": None, "y": {"internal": True}},
    }
    result = inject(document)
    services = result.document["services"]
    assert services["b-pod"]["networks"] == {"x": {"aliases": ["b"]}, "y": {"aliases": ["b"]}, NETWORK: {}}
    assert NETWORK in services[CONTROL_PLANE]["networks"]
    assert result.document["networks"][NETWORK] == {"internal": True}, "no way out where there was none"
    assert eject(result.document) == document


def test_versions_of_a_service() -> None:
    labels = {"mesh.service": "reviews", "mesh.version": "v2"}
    command = inject(one(labels=labels, expose=[80])).document["services"]["a-sidecar"]["command"]
    assert " ".join(command).endswith("--service reviews --version v2 --port 80/http")


def test_a_port_with_two_protocols_is_told() -> None:
    document = {"services": {"a": {"expose": [9000]}, "b": {"labels": {"mesh.ports": "9000/tcp"}}}}
    assert any("port 9000 is HTTP of a and TCP of b" in note for note in inject(document).notes)


@pytest.mark.parametrize("text", ["22:22", "on", "yes", "1_000", "0o17", "1e3", "2001-01-01", "=", "0x1f"])
def test_texts_stay_texts(text: str) -> None:
    """A port is no number to the base of 60, and `on` is a word."""
    document = stack(f"services: {{a: {{x: {text}}}}}")
    assert document["services"]["a"]["x"] == text
    assert stack(dump(document)) == document


SERVICES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.fixed_dictionaries(
        {},
        optional={
            "ports": st.lists(st.sampled_from(["80:80", "9000", {"target": 5432}]), max_size=2),
            "networks": st.sampled_from([["x"], {"x": None}, {"default": {"aliases": ["q"]}}]),
            "depends_on": st.sampled_from([["b"], {"b": {"condition": "service_healthy"}}]),
            "network_mode": st.sampled_from(["host", "service:a", "bridge"]),
            "links": st.sampled_from([["b"], ["b:other"]]),
            "profiles": st.just(["p"]),
            "hostname": st.just("h"),
            "environment": st.just({"X": "http://a:8000"}),
        },
    ),
    min_size=1,
)


@given(SERVICES)
def test_out_is_the_way_back_from_in(services: dict[str, Any]) -> None:
    document = {"services": services, "networks": {"x": {}}}
    made = inject(document).document
    assert eject(made) == document
    assert inject(made).document == made
    assert EXTENSION not in eject(made)
