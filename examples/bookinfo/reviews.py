"""reviews: what people say of a book. GET /reviews/{id}, /health.

v1 gives no ratings; v2 asks the ratings service, by HTTP or by gRPC, and shows black stars, v3 red ones. When ratings
fail, the reviews are given without them, and say so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from examples.bookinfo.ratings_grpc import SCHEME, Client
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

STAR_COLORS = {"v1": None, "v2": "black", "v3": "red"}
RATINGS_TIMEOUT_SECONDS = 10.0
NO_RATINGS = "Ratings service is currently unavailable"
REVIEWS = {
    "Reviewer1": "Two couples, one forest, and a weaver with the head of a donkey. I have not laughed so much at a "
    "play since I began to read them.",
    "Reviewer2": "It is light, it is clever, and nobody is quite who they think they are. The craftsmen steal every "
    "scene that they are in.",
}


GRPC_RATINGS = web.AppKey("ratings", Client)


def make_app(version: str, instance: str, ratings_url: str = "http://ratings:9080") -> web.Application:
    color = STAR_COLORS[version]
    by_grpc = ratings_url.startswith(SCHEME)

    async def grpc_context(app: web.Application) -> AsyncIterator[None]:
        app[GRPC_RATINGS] = Client(ratings_url.removeprefix(SCHEME))
        yield
        await app[GRPC_RATINGS].close()

    async def stars(number: int, headers: Mapping[str, str]) -> dict[str, Any]:
        """Each reviewer's `rating`, or the same error for all."""
        try:
            answer = await request_ratings(number, headers)
        except UnavailableError:
            return {name: {"error": NO_RATINGS} for name in REVIEWS}
        return {name: {"stars": answer[name], "color": color} for name in REVIEWS if name in answer}

    async def request_ratings(number: int, headers: Mapping[str, str]) -> dict[str, int]:
        if by_grpc:
            return await app[GRPC_RATINGS].get(number, headers, RATINGS_TIMEOUT_SECONDS)
        answer = await app[CALLER].get_json(f"{ratings_url}/ratings/{number}", headers, RATINGS_TIMEOUT_SECONDS)
        ratings: dict[str, int] = answer["ratings"]
        return ratings

    async def reviews(request: web.Request) -> web.Response:
        number = product_id(request)
        ratings = await stars(number, request.headers) if color else {}
        entries = [
            {"reviewer": name, "text": text, **({"rating": ratings[name]} if name in ratings else {})}
            for name, text in REVIEWS.items()
        ]
        return json_reply(
            {"id": str(number), "podname": instance, "clustername": "null", "version": version, "reviews": entries}
        )

    app = web.Application()
    app.cleanup_ctx.append(grpc_context if by_grpc else caller_context)
    app.router.add_get("/reviews/{id}", reviews)
    add_health(app, "Reviews")
    return app


if __name__ == "__main__":
    options = parser("Bookinfo's reviews service")
    options.add_argument("--version", choices=sorted(STAR_COLORS), default="v1")
    options.add_argument(
        "--ratings",
        default="http://ratings:9080",
        metavar="URL",
        help="where the ratings service is; grpc://HOST:PORT calls it by gRPC",
    )
    arguments = options.parse_args()
    serve(make_app(arguments.version, arguments.instance, arguments.ratings), arguments)
