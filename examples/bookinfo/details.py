"""details: facts about a book. GET /details/{id}, /health."""

from __future__ import annotations

from aiohttp import web

from examples.bookinfo.service import add_health, json_reply, parser, product_id, serve

BOOK = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}


def make_app() -> web.Application:
    async def details(request: web.Request) -> web.Response:
        return json_reply({"id": product_id(request), **BOOK})

    app = web.Application()
    app.router.add_get("/details/{id}", details)
    add_health(app, "Details")
    return app


if __name__ == "__main__":
    serve(make_app(), parser("Bookinfo's details service").parse_args())
