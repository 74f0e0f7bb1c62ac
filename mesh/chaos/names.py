"""A DNS forwarder that can be slow: `mesh experiment dns`. It stands between resolvers and their server all the time, and
passes messages on as they are (RFC 1035, over UDP and TCP).

It is slow for as long as somebody holds a connection to its control port who has said how slow: `delay SECONDS` and a line
feed, answered by `ok`. Whoever dies has ended the fault with that.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from mesh.chaos.processes import ProcessError
from mesh.tasks import TaskOwner

SERVER_SECONDS: Final = 5.0
LONGEST: Final = 60.0
AT_ONCE: Final = 1000  # questions in progress; more are dropped, as by a server whose queue is full
_OK: Final = b"ok\n"

Place = tuple[str, int]


class Forwarder:
    """Listens on `listen` by UDP and TCP, and on `control` by TCP, from `start` to `close`."""

    def __init__(self, listen: Place, server: Place, control: Place) -> None:
        self._listen, self._server, self._control = listen, server, control
        self._tasks = TaskOwner("dns")
        self._questions = 0
        self._delays: dict[asyncio.StreamWriter, float] = {}
        self._open: list[Any] = []

    @property
    def delay(self) -> float:
        """Seconds that each answer waits."""
        return max(self._delays.values(), default=0.0)

    async def start(self) -> None:
        """OSError where a place is taken."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Listener(self.ask), local_addr=self._listen)
        self._open.append(transport)
        self._open.append(await asyncio.start_server(self._pass_on, *self._listen))
        self._open.append(await asyncio.start_server(self._obey, *self._control))

    async def close(self) -> None:
        for each in self._open:
            each.close()
        await self._tasks.close()
        for writer in tuple(self._delays):
            writer.close()

    def ask(self, question: bytes, reply: Any) -> None:
        """`reply` is called with the server's answer; never, where there is none."""
        if self._questions < AT_ONCE:
            self._questions += 1
            self._tasks.start(self._ask(question, reply))

    async def _ask(self, question: bytes, reply: Any) -> None:
        try:
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Asker(answer), remote_addr=self._server
            )
            try:
                transport.sendto(question)
                async with asyncio.timeout(SERVER_SECONDS):
                    message = await answer
            finally:
                transport.close()
            await asyncio.sleep(self.delay)
            reply(message)
        except (OSError, TimeoutError):
            pass  # whoever asked asks again, or gives up: so it is with a server that is silent
        finally:
            self._questions -= 1

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question over TCP: two bytes of length, then the message."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(SERVER_SECONDS + LONGEST):
                length = await reader.readexactly(2)
                question = length + await reader.readexactly(int.from_bytes(length, "big"))
                there, back = await asyncio.open_connection(*self._server)
                back.write(question)
                length = await there.readexactly(2)
                answer = length + await there.readexactly(int.from_bytes(length, "big"))
                back.close()
                await asyncio.sleep(self.delay)
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Slow until the connection ends."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                word, _, number = line.decode("ascii", "replace").partition(" ")
                seconds = float(number)
                if word != "delay" or not 0 <= seconds <= LONGEST:
                    break
                self._delays[writer] = seconds
                writer.write(_OK)
        self._delays.pop(writer, None)
        writer.close()


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, ask: Any) -> None:
        self._ask = ask

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._ask(data, lambda answer: self._transport.sendto(answer, address))


class _Asker(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, address: Any) -> None:
        if not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


@contextmanager
def slow(host: str, port: int, seconds: float) -> Iterator[None]:
    """A forwarder is slow inside of the block, and not when this process has ended, however it did."""
    try:
        with socket.create_connection((host, port), SERVER_SECONDS) as control:
            control.sendall(f"delay {seconds:g}\n".encode())
            if control.recv(len(_OK)) != _OK:
                raise ProcessError(f"{host}:{port} is not the control port of mesh experiment dns")
            yield
    except OSError as error:
        raise ProcessError(f"no mesh experiment dns is to be had at {host}:{port}: {error}") from error
