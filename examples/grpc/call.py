"""`python -m examples.grpc.call hello Ada`: one call, or `--times` of them; prints what comes, or the status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import grpc

from examples.grpc.service import Greeter, text


def call(greeter: Greeter, method: str, words: Sequence[str], timeout: float | None) -> list[str]:
    """The answer, or each message of it."""
    if method == "hello":
        return [greeter.hello(text(words[0]), timeout=timeout).value]
    if method == "count":
        return [message.value for message in greeter.count(text(words[0]), timeout=timeout)]
    if method == "collect":
        return [greeter.collect(map(text, words), timeout=timeout).value]
    return [message.value for message in greeter.chat(map(text, words), timeout=timeout)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="call", description=__doc__)
    parser.add_argument("method", choices=("hello", "count", "collect", "chat"))
    parser.add_argument("words", nargs="+")
    parser.add_argument("--target", default="greeter:50051")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--timeout", type=float)
    given = parser.parse_args(arguments)
    failed = 0
    with grpc.insecure_channel(given.target) as channel:
        greeter = Greeter(channel)
        for _ in range(given.times):
            try:
                print(*call(greeter, given.method, given.words, given.timeout), sep="\n", flush=True)
            except grpc.RpcError as error:
                failed = 1
                print(f"{error.code().name}: {error.details()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
