"""Requests as templates."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from mesh.load.template import Mix, Origin, RequestSpec, Template, TemplateError


def render(spec: RequestSpec, number: int = 0, proxy: Origin | None = None) -> str:
    return Template(spec, proxy).render(number, random.Random(1)).decode()


def test_a_plain_get() -> None:
    template = Template(RequestSpec("http://127.0.0.1:81/a?b=c", headers={"End-User": "jason"}))
    assert template.origin == Origin("127.0.0.1", 81)
    assert template.name == "GET /a"
    assert render(RequestSpec("http://h:81/a?b=c", headers={"End-User": "jason"})) == (
        "GET /a?b=c HTTP/1.1\r\nhost: h:81\r\nend-user: jason\r\n\r\n"
    )


def test_a_body_has_its_length_in_bytes() -> None:
    assert render(RequestSpec("http://h/", "POST", body="é")).endswith("content-length: 2\r\n\r\né")
    assert render(RequestSpec("http://h/", "POST")).endswith("content-length: 0\r\n\r\n")


def test_the_host_may_be_another() -> None:
    assert "host: reviews\r\n" in render(RequestSpec("http://127.0.0.1/", headers={"Host": "reviews"}))


def test_a_proxy_gets_the_whole_url() -> None:
    spec = RequestSpec("http://reviews:9080/r")
    assert render(spec, proxy=Origin("127.0.0.1", 15001)).startswith(
        "GET http://reviews:9080/r HTTP/1.1\r\nhost: reviews:9080"
    )
    assert Template(spec, Origin("127.0.0.1", 15001)).origin.port == 15001


def test_placeholders() -> None:
    text = render(RequestSpec("http://h/{{number}}/{{random 3 3}}", "POST", {"x": "{{uuid}}"}, "{{choice a}}"), 41)
    assert text.startswith("POST /41/3 HTTP/1.1")
    assert re.search(r"x: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n", text)
    assert text.endswith("\r\n\r\na")


def test_placeholders_are_new_in_each_request() -> None:
    template, chance = Template(RequestSpec("http://h/{{random 1 1000}}")), random.Random(2)
    assert len({template.render(0, chance) for _ in range(50)}) > 40


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (RequestSpec("https://h/"), "TLS"),
        (RequestSpec("h/x"), "expected http://"),
        (RequestSpec("http://h:99999/"), "99999"),
        (RequestSpec("http://h/ä"), "ASCII"),
        (RequestSpec("http://h/", "get"), "method"),
        (RequestSpec("http://h/", weight=0), "weight"),
        (RequestSpec("http://h/", headers={"a": "b\r\nc: d"}), "no header"),
        (RequestSpec("http://h/", headers={"Content-Length": "3"}), "load generator itself"),
        (RequestSpec("http://h/{{nonsense}}"), "there are number"),
        (RequestSpec("http://h/{{random 9 1}}"), "there are number"),
    ],
)
def test_what_cannot_be_asked(spec: RequestSpec, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        Template(spec)


@pytest.mark.parametrize("data", [{}, {"url": 1}, {"url": "http://h", "wait": 1}, {"url": "http://h", "weight": "1"}])
def test_what_is_no_request(data: dict[str, object]) -> None:
    with pytest.raises(TemplateError):
        RequestSpec.of(data)


def test_a_mix_keeps_its_weights() -> None:
    mix = Mix([Template(RequestSpec("http://h/a", weight=3)), Template(RequestSpec("http://h/b", weight=1))])
    chance = random.Random(3)
    counts = Counter(mix.pick(chance) for _ in range(20_000))
    assert counts[0] / 20_000 == pytest.approx(0.75, abs=0.01)
