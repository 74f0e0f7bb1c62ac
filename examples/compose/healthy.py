"""Exits 0 when 127.0.0.1 answers 200: `python -IS healthy.py PORT PATH`. Asked every few seconds in every container, so it
imports as good as nothing (20 ms, not 150).
"""

import socket
import sys

port, path = sys.argv[1:]
with socket.create_connection(("127.0.0.1", int(port)), timeout=4) as connection:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = connection.recv(64)
sys.exit(b" 200 " not in answer)
