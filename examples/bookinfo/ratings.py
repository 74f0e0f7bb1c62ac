"""ratings: the stars that each reviewer gives. GET and POST /ratings/{id}, /health; with `--grpc-port` gRPC, too."""

from __future__ import annotations

import json

from aiohttp import web

from examples.bookinfo.ratings_grpc import serving
from examples.bookinfo.service import add_health, json_reply, parser, product_id, serve

DEFAULT_RATINGS = {"Reviewer1": 5, "Reviewer2": 4}
MOST_STARS = 5
MAX_PRODUCTS = 1000  # that have ratings of their own: memory stays bounded whatever is posted


def make_app(address: str = "127.0.0.1", grpc_port: int = 0) -> web.Application:
    """Posted ratings live as long as the process. Without a `grpc_port` there is HTTP only."""
    posted: dict[int, dict[str, int]] = {}

    def find(number: int) -> dict[str, int]:
        return posted.get(number, DEFAULT_RATINGS)

    async def get(request: web.Request) -> web.Response:
        number = product_id(request)
        return json_reply({"id": number, "ratings": find(number)})

    async def post(request: web.Request) -> web.Response:
        number = product_id(request)
        try:
            ratings = json.loads(await request.text())
        except ValueError:
            return json_reply({"error": "please provide valid ratings JSON"}, 400)
        if not _valid(ratings):
            return json_reply({"error": f"ratings are {{reviewer: stars}}, with 1 to {MOST_STARS} stars"}, 400)
        if number not in posted and len(posted) >= MAX_PRODUCTS:
            return json_reply({"error": f"ratings of {MAX_PRODUCTS} products are kept, no more"}, 507)
        posted[number] = ratings
        return json_reply({"id": number, "ratings": ratings})

    app = web.Application()
    app.router.add_get("/ratings/{id}", get)
    app.router.add_post("/ratings/{id}", post)
    add_health(app, "Ratings")
    if grpc_port:
        app.cleanup_ctx.append(serving(find, address, grpc_port))
    return app


def _valid(ratings: object) -> bool:
    return isinstance(ratings, dict) and all(
        type(stars) is int and 1 <= stars <= MOST_STARS for stars in ratings.values()
    )


if __name__ == "__main__":
    options = parser("Bookinfo's ratings service")
    options.add_argument("--grpc-port", type=int, default=0, help="where to listen for gRPC; 0: nowhere")
    arguments = options.parse_args()
    serve(make_app(arguments.address, arguments.grpc_port), arguments)
