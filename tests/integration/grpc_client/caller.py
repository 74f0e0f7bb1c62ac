"""Calls a target as often as it is told, and prints who answered: one process, since a gRPC client's xDS state is its own.

Each line of the input is the value of the call's `end-user` header.
"""

import sys

import grpc


def main(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary("/test.Greeter/Greet")
        for line in sys.stdin:
            try:
                answer = call(b"", timeout=10, wait_for_ready=True, metadata=(("end-user", line.strip()),)).decode()
            except grpc.RpcError as error:
                answer = error.code().name
            print(answer, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
