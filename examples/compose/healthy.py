"""Exits 0 when 127.0.0.1 answers 200: `python -IS healthy.py PORT PATH [DOOR]`.

Asked every few seconds in every container, so it imports as good as nothing (20 ms, not 150).

DOOR is for an app: a port that its sidecar always has open. A sidecar that was started again has a new network
namespace, and nobody can reach who stayed in the old one: where nobody listens on DOOR, the app is ended, and the engine
starts it again in the new one.
"""

import os
import signal
import socket
import sys

SECONDS = 4
MAIN_PROCESS = 1  # of the container


def main(port: int, path: str, door: int = 0) -> bool:
    if door and not listens(door):
        os.kill(MAIN_PROCESS, signal.SIGTERM)
        return False
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in connection.recv(64)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


if __name__ == "__main__":
    given_port, given_path, *doors = sys.argv[1:]
    sys.exit(0 if main(int(given_port), given_path, *map(int, doors)) else 1)
