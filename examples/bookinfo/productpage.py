"""productpage: the page that people see, and the JSON API below it.

GET / (what there is), /productpage, /api/v1/products, /api/v1/products/{id}, …/{id}/reviews, …/{id}/ratings, /health;
POST /login and GET /logout set and clear the `end-user` cookie. Details and reviews are asked for at the same time; a
part that fails is shown as missing, and the rest of the page stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from examples.bookinfo.page import Part, render_index, render_product_page
from examples.bookinfo.service import (
    CALLER,
    UnavailableError,
    add_health,
    caller_context,
    json_reply,
    parser,
    product_id,
    serve,
)

CALL_TIMEOUT_SECONDS = 3.0
END_USER = "end-user"
MAX_USER_NAME = 40
PRODUCTS = [
    {
        "id": 0,
        "title": "A Midsummer Night's Dream",
        "descriptionHtml": "Four young Athenians lose themselves in a wood where the king and the queen of the fairies "
        "are quarrelling, and where love is a matter of the right flower.",
    }
]


def end_user(request: web.Request) -> str:
    """Who is signed in: the `end-user` header, or else the cookie that /login set."""
    return request.headers.get(END_USER) or unquote(request.cookies.get(END_USER, ""))


def outgoing(request: web.Request) -> dict[str, str]:
    """The request's headers with the end user among them, so that the mesh can route by it on the next hops."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if user := end_user(request):
        headers[END_USER] = user
    return headers


def product(number: int) -> Mapping[str, Any]:
    if number >= len(PRODUCTS):
        raise web.HTTPNotFound(text='{"error": "no such product"}', content_type="application/json")
    return PRODUCTS[number]


class ProductPage:
    """The handlers; the URLs say where the other services are."""

    def __init__(self, instance: str, details_url: str, reviews_url: str, ratings_url: str) -> None:
        self._instance = instance
        self._details_url = details_url
        self._reviews_url = reviews_url
        self._ratings_url = ratings_url

    async def index(self, request: web.Request) -> web.Response:
        return web.Response(text=render_index(PRODUCTS), content_type="text/html")

    async def page(self, request: web.Request) -> web.Response:
        details, reviews = await asyncio.gather(
            self._part(request, f"{self._details_url}/details/0"),
            self._part(request, f"{self._reviews_url}/reviews/0"),
        )
        html = render_product_page(product(0), details, reviews, end_user(request), self._instance)
        return web.Response(text=html, content_type="text/html", headers={"cache-control": "no-store"})

    async def products(self, request: web.Request) -> web.Response:
        return json_reply(PRODUCTS)

    async def details(self, request: web.Request) -> web.Response:
        return await self._relay(request, self._details_url, "details")

    async def reviews(self, request: web.Request) -> web.Response:
        return await self._relay(request, self._reviews_url, "reviews")

    async def ratings(self, request: web.Request) -> web.Response:
        return await self._relay(request, self._ratings_url, "ratings")

    async def login(self, request: web.Request) -> web.Response:
        form = await request.post()
        name = str(form.get("username", "")).strip()[:MAX_USER_NAME]
        reply = web.Response(status=302, headers={"location": "/productpage"})
        if name:
            reply.set_cookie(END_USER, quote(name), httponly=True, samesite="Lax")
        return reply

    async def logout(self, request: web.Request) -> web.Response:
        reply = web.Response(status=302, headers={"location": "/productpage"})
        reply.del_cookie(END_USER)
        return reply

    async def _part(self, request: web.Request, url: str) -> Part:
        began = time.perf_counter()
        try:
            data = await request.app[CALLER].get_json(url, outgoing(request), CALL_TIMEOUT_SECONDS)
        except UnavailableError as error:
            return Part(None, str(error), time.perf_counter() - began)
        return Part(data, "", time.perf_counter() - began)

    async def _relay(self, request: web.Request, base: str, what: str) -> web.Response:
        number = product_id(request)
        product(number)
        part = await self._part(request, f"{base}/{what}/{number}")
        if part.data is None:
            return json_reply({"error": f"product {what} are currently unavailable", "reason": part.error}, 503)
        return json_reply(part.data)


def make_app(
    instance: str,
    details_url: str = "http://details:9080",
    reviews_url: str = "http://reviews:9080",
    ratings_url: str = "http://ratings:9080",
) -> web.Application:
    handlers = ProductPage(instance, details_url, reviews_url, ratings_url)
    app = web.Application()
    app.cleanup_ctx.append(caller_context)
    app.router.add_get("/", handlers.index)
    app.router.add_get("/productpage", handlers.page)
    app.router.add_get("/api/v1/products", handlers.products)
    app.router.add_get("/api/v1/products/{id}", handlers.details)
    app.router.add_get("/api/v1/products/{id}/reviews", handlers.reviews)
    app.router.add_get("/api/v1/products/{id}/ratings", handlers.ratings)
    app.router.add_post("/login", handlers.login)
    app.router.add_get("/logout", handlers.logout)
    add_health(app, "Product page")
    return app


if __name__ == "__main__":
    options = parser("Bookinfo's product page")
    for other in ("details", "reviews", "ratings"):
        options.add_argument(f"--{other}", default=f"http://{other}:9080", metavar="URL", help=f"where {other} is")
    arguments = options.parse_args()
    serve(make_app(arguments.instance, arguments.details, arguments.reviews, arguments.ratings), arguments)
