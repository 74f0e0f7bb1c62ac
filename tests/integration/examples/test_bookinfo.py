"""The four services by themselves, without a mesh: their HTTP contract, what they pass on, and what they do without
each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from examples.bookinfo import details, productpage, ratings, reviews
from examples.bookinfo.service import TRACE_HEADERS
from tests.harness.ports import free_port

Start = Callable[[web.Application], Awaitable[str]]
Get = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Serves an app; its URL."""
    servers: list[TestServer] = []

    async def begin(app: web.Application) -> str:
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        return str(server.make_url("")).rstrip("/")

    yield begin
    for server in reversed(servers):
        await server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def answer(session: aiohttp.ClientSession, url: str, **more: Any) -> Any:
    async with session.get(url, **more) as response:
        assert response.status == 200, url
        return await response.json()


class Recorder:
    """A service that answers everything with the same, and keeps the headers it was sent."""

    def __init__(self, data: Any, status: int = 200) -> None:
        self.headers: list[dict[str, str]] = []
        self.app = web.Application()

        async def reply(request: web.Request) -> web.Response:
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            return web.json_response(data, status=status)

        self.app.router.add_route("*", "/{path:.*}", reply)


RATED = {"id": 0, "ratings": {"Reviewer1": 3, "Reviewer2": 2}}


async def test_details(start: Start, session: aiohttp.ClientSession) -> None:
    url = await start(details.make_app())
    found = await answer(session, f"{url}/details/0")
    assert (found["id"], found["author"], found["ISBN-13"]) == (0, "William Shakespeare", "123-1234567890")
    assert await answer(session, f"{url}/health") == {"status": "Details is healthy"}
    async with session.get(f"{url}/details/x") as response:
        assert response.status == 400


async def test_ratings_keep_what_is_posted(start: Start, session: aiohttp.ClientSession) -> None:
    url = await start(ratings.make_app())
    assert await answer(session, f"{url}/ratings/0") == {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
    async with session.post(f"{url}/ratings/7", json={"Reviewer1": 1}) as response:
        assert response.status == 200
    assert (await answer(session, f"{url}/ratings/7"))["ratings"] == {"Reviewer1": 1}
    for bad in ("nonsense", "[]", '{"Reviewer1": 6}', '{"Reviewer1": "5"}', '{"Reviewer1": true}'):
        async with session.post(f"{url}/ratings/7", data=bad) as response:
            assert response.status == 400, bad


@pytest.mark.parametrize(("version", "color"), [("v1", None), ("v2", "black"), ("v3", "red")])
async def test_versions_of_reviews_differ_in_their_stars(
    start: Start, session: aiohttp.ClientSession, version: str, color: str | None
) -> None:
    asked = Recorder(RATED)
    url = await start(reviews.make_app(version, "reviews-7", await start(asked.app)))
    found = await answer(session, f"{url}/reviews/0")
    assert (found["id"], found["podname"], found["version"]) == ("0", "reviews-7", version)
    expected = [None, None] if color is None else [{"stars": 3, "color": color}, {"stars": 2, "color": color}]
    assert [review.get("rating") for review in found["reviews"]] == expected
    assert len(asked.headers) == (0 if color is None else 1)


async def test_reviews_without_ratings_say_so(start: Start, session: aiohttp.ClientSession) -> None:
    url = await start(reviews.make_app("v2", "x", await start(Recorder({}, status=503).app)))
    found = await answer(session, f"{url}/reviews/0")
    assert {review["rating"]["error"] for review in found["reviews"]} == {"Ratings service is currently unavailable"}


@pytest.fixture
async def rated_by_grpc(start: Start, session: aiohttp.ClientSession) -> tuple[str, str]:
    """The URLs of ratings and of reviews that call them by gRPC."""
    port = free_port()
    stars = await start(ratings.make_app(grpc_port=port))
    return stars, await start(reviews.make_app("v2", "x", f"grpc://127.0.0.1:{port}"))


async def test_ratings_by_grpc_are_those_by_http(
    rated_by_grpc: tuple[str, str], session: aiohttp.ClientSession
) -> None:
    stars, url = rated_by_grpc
    async with session.post(f"{stars}/ratings/7", json={"Reviewer1": 1, "Reviewer2": 2}) as response:
        assert response.status == 200
    found = await answer(session, f"{url}/reviews/7", headers={"end-user": "jason", "x-request-id": "1"})
    assert [review["rating"]["stars"] for review in found["reviews"]] == [1, 2]
    found = await answer(session, f"{url}/reviews/0")
    assert [review["rating"] for review in found["reviews"]] == [
        {"stars": 5, "color": "black"},
        {"stars": 4, "color": "black"},
    ]


async def test_without_ratings_by_grpc_reviews_say_so(start: Start, session: aiohttp.ClientSession) -> None:
    url = await start(reviews.make_app("v3", "x", f"grpc://127.0.0.1:{free_port()}"))
    found = await answer(session, f"{url}/reviews/0")
    assert {review["rating"]["error"] for review in found["reviews"]} == {"Ratings service is currently unavailable"}


async def test_headers_that_belong_to_a_request_go_along(start: Start, session: aiohttp.ClientSession) -> None:
    asked = Recorder(RATED)
    url = await start(reviews.make_app("v2", "x", await start(asked.app)))
    sent = {name: f"value of {name}" for name in (*TRACE_HEADERS, "end-user", "authorization")}
    await answer(session, f"{url}/reviews/0", headers={**sent, "x-other": "stays"})
    assert {name: asked.headers[0].get(name) for name in sent} == sent
    assert "x-other" not in asked.headers[0]


class Page(HTMLParser):
    """The sections of a product page by id, each with its attributes; and that every tag is closed."""

    VOID = frozenset({"meta", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: dict[str, dict[str, str | None]] = {}
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "section":
            self.sections[str(named["id"])] = named
        self.links += [str(named[name]) for name in ("src", "href", "action") if name in named]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def page_of(start: Start, details_app: web.Application, reviews_app: web.Application) -> str:
    return await start(
        productpage.make_app(
            "productpage-1", await start(details_app), await start(reviews_app), await start(ratings.make_app())
        )
    )


async def get(session: aiohttp.ClientSession, url: str, **more: Any) -> tuple[int, str]:
    async with session.get(url, **more) as response:
        return response.status, await response.text()


async def test_product_page_shows_which_reviews_answered(start: Start, session: aiohttp.ClientSession) -> None:
    stars = await start(ratings.make_app())
    url = await page_of(start, details.make_app(), reviews.make_app("v3", "reviews-v3-a", stars))
    status, html = await get(session, f"{url}/productpage")
    page = Page(html)
    assert status == 200
    assert page.sections["reviews"]["data-reviews-version"] == "v3"
    assert page.sections["reviews"]["data-reviews-instance"] == "reviews-v3-a"
    assert "William Shakespeare" in html
    assert 'class="stars red"' in html
    assert all(link.startswith("/") for link in page.links)  # nothing from elsewhere


async def test_product_page_without_reviews_says_so_and_shows_the_rest(
    start: Start, session: aiohttp.ClientSession
) -> None:
    url = await page_of(start, details.make_app(), Recorder({}, status=503).app)
    status, html = await get(session, f"{url}/productpage")
    assert (status, Page(html).sections["reviews"]["data-reviews-version"]) == (200, "none")
    assert "reviews are currently unavailable" in html
    assert "William Shakespeare" in html


async def test_product_page_without_details_says_so(start: Start, session: aiohttp.ClientSession) -> None:
    url = await page_of(start, Recorder({}, status=404).app, reviews.make_app("v1", "x"))
    status, html = await get(session, f"{url}/productpage")
    assert (status, Page(html).sections["reviews"]["data-reviews-version"]) == (200, "v1")
    assert "details are currently unavailable" in html


async def test_nothing_that_services_say_becomes_markup(start: Start, session: aiohttp.ClientSession) -> None:
    evil = "<script>x</script>"
    answered = {
        "podname": evil,
        "version": evil,
        "reviews": [{"reviewer": evil, "text": evil, "rating": {"error": evil}}],
    }
    url = await page_of(start, Recorder({"author": evil}).app, Recorder(answered).app)
    _, html = await get(session, f"{url}/productpage", headers={"end-user": evil})
    Page(html)
    assert "<script" not in html


async def test_who_is_signed_in_goes_along(start: Start, session: aiohttp.ClientSession) -> None:
    asked = Recorder({"reviews": []})
    url = await page_of(start, details.make_app(), asked.app)
    async with session.post(f"{url}/login", data={"username": "jason"}) as response:
        assert "signed in as <strong>jason</strong>" in await response.text()
    assert asked.headers[-1]["end-user"] == "jason"
    await get(session, f"{url}/productpage", headers={"end-user": "kim"})
    assert asked.headers[-1]["end-user"] == "kim"
    _, html = await get(session, f"{url}/logout")
    assert "signed in" not in html
    assert "end-user" not in asked.headers[-1]


async def test_product_api(start: Start, session: aiohttp.ClientSession) -> None:
    url = await page_of(start, details.make_app(), reviews.make_app("v1", "x"))
    (book,) = await answer(session, f"{url}/api/v1/products")
    assert (book["id"], book["title"]) == (0, "A Midsummer Night's Dream")
    assert (await answer(session, f"{url}/api/v1/products/0"))["year"] == 1595
    assert len((await answer(session, f"{url}/api/v1/products/0/reviews"))["reviews"]) == 2
    assert (await answer(session, f"{url}/api/v1/products/0/ratings"))["ratings"]["Reviewer1"] == 5
    assert (await get(session, f"{url}/api/v1/products/9"))[0] == 404
    assert (await get(session, f"{url}/api/v1/products/x/reviews"))[0] == 400
    assert (await get(session, url))[0] == 200
    assert (await get(session, f"{url}/health"))[0] == 200


async def test_product_api_without_reviews_is_503(start: Start, session: aiohttp.ClientSession) -> None:
    url = await page_of(start, details.make_app(), Recorder({}, status=500).app)
    status, text = await get(session, f"{url}/api/v1/products/0/reviews")
    assert status == 503
    assert "currently unavailable" in text


async def test_calls_go_through_the_proxy_of_the_environment(
    start: Start, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Recorder({"reviews": [], "version": "v9"})
    monkeypatch.setenv("http_proxy", await start(proxy.app))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = await start(productpage.make_app("x"))
    _, html = await get(session, f"{url}/productpage")
    assert {headers["host"] for headers in proxy.headers} == {"details:9080", "reviews:9080"}
    assert Page(html).sections["reviews"]["data-reviews-version"] == "v9"
