"""An unaware client. A program: `python client.py get ADDRESS PORT HOST PATH`, or `… exchange ADDRESS PORT BYTES`.

get: a request with that Host header; prints the status and the body. exchange: sends BYTES ("" for none) and reads until the
peer ends, or says nothing more for a second; prints what came and how it ended (fin, rst, open, refused).
"""

from __future__ import annotations

import http.client
import socket
import sys

PATIENCE_SECONDS = 10.0
SILENCE_SECONDS = 2.0  # an Envoy ends a connection that it refuses after one


def get(address: str, port: int, host: str, path: str) -> None:
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE_SECONDS)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    response = connection.getresponse()
    print(response.status)
    print(response.read().decode())


def exchange(address: str, port: int, sent: bytes) -> None:
    received, end = b"", "open"
    try:
        with socket.create_connection((address, port), timeout=PATIENCE_SECONDS) as connection:
            connection.settimeout(SILENCE_SECONDS)
            connection.sendall(sent)
            while data := connection.recv(65536):
                received += data
            end = "fin"
    except TimeoutError:
        pass
    except ConnectionRefusedError:
        end = "refused"
    except ConnectionError:
        end = "rst"
    print(end)
    print(received.decode("latin-1"), end="")


if __name__ == "__main__":
    kind, to_address, to_port, *rest = sys.argv[1:]
    if kind == "get":
        get(to_address, int(to_port), *rest)
    else:
        exchange(to_address, int(to_port), rest[0].encode("latin-1").decode("unicode_escape").encode("latin-1"))
