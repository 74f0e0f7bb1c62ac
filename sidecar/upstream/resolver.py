"""Names → addresses, on the event loop, by c-ares: the library that Envoy asks.

c-ares (its binding pycares) and not the system's `getaddrinfo`, which blocks a thread of the loop's pool for as long as a
server is silent: ten dead names, and nobody else gets an answer. Not aiodns either, which lets c-ares run a thread of its
own. c-ares brings what a stub resolver needs: its own sockets, time-outs and retries, TCP for answers that were cut off,
TTLs, resolv.conf with its search domains, /etc/hosts, `localhost`; and it judges servers as Envoy's does.

One thing of it is not wanted: answers are kept for their TTL, which no option of the binding switches off, while Envoy asks
anew at every refresh. So a channel answers a name once. When one is asked for again, a new channel takes over, and the old
one goes with its last look-up; that also sees a resolv.conf that was changed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sidecar.config.model import DnsFamily, DnsResolver

log = logging.getLogger(__name__)

_AI_NOSORT: Final = 1 << 7  # ares.h; the binding has no name for it: the answer's own order, and nothing is probed
_DEFAULT_SERVER: Final = "127.0.0.1:53"  # c-ares' own when the system names none
# Addresses that nobody has (RFC 5737, RFC 3849): whether there is a way to them says whether there is one to others.
_ELSEWHERE: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
# What is asked for first, and where that has no address, next.
_ORDER: Final = {
    DnsFamily.AUTO: (socket.AF_INET6, socket.AF_INET),
    DnsFamily.V4_PREFERRED: (socket.AF_INET, socket.AF_INET6),
    DnsFamily.V4_ONLY: (socket.AF_INET,),
    DnsFamily.V6_ONLY: (socket.AF_INET6,),
    DnsFamily.ALL: (socket.AF_UNSPEC,),
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """The addresses of a name, in the answer's order; none, and no `error`: there is such an answer, and it is empty (or
    the name does not exist). `ttl` is the least of the records' seconds; 0: there is none."""

    addresses: tuple[str, ...] = ()
    ttl: int = 0
    error: str = ""


Done = Callable[[Resolution], None]


class Resolver:
    """Looks names up, any number at a time. `resolve` calls back once, later, on the loop."""

    def __init__(self, config: DnsResolver, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._channel: _Channel | None = None
        self._closed = False

    def resolve(self, name: str, family: DnsFamily, done: Done) -> None:
        self._ask(name, _ORDER[family], "", done)

    def close(self) -> None:
        """Nobody is called back any more."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def _ask(self, name: str, families: tuple[socket.AddressFamily, ...], failed: str, done: Done) -> None:
        """Asks for the first of the families, for the next where that has no address. Where none has one, it is a failure
        if one of them `failed`: nobody knows that there is no address."""
        family, *others = families

        def heard(found: Resolution) -> None:
            if self._closed:
                return
            error = found.error or failed
            if found.addresses:
                self._loop.call_soon(done, found)
            elif others:
                self._ask(name, tuple(others), error, done)
            else:
                self._loop.call_soon(done, Resolution(error=error))

        if self._config.filter_unroutable and family != socket.AF_UNSPEC and not _routable(family):
            heard(Resolution(error="there is no route to addresses of this family"))
        else:
            self._channel_for(name, family).ask(name, family, heard)

    def _channel_for(self, name: str, family: socket.AddressFamily) -> _Channel:
        channel = self._channel
        if channel is None or not channel.takes(name, family):
            if channel is not None:
                channel.retire()
            channel = self._channel = _Channel(self._config, self._loop)
        return channel


class _Channel:
    """A c-ares channel whose sockets and timer are the loop's."""

    def __init__(self, config: DnsResolver, loop: asyncio.AbstractEventLoop) -> None:
        import pycares  # a process without names to look up does without it

        self._loop = loop
        self._ares = pycares
        self._asked: set[tuple[str, socket.AddressFamily]] = set()
        self._pending = 0
        self._retired = self._closed = self._broken = False
        self._watched: dict[int, tuple[bool, bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        flags = pycares.ARES_FLAG_EDNS
        if config.tcp:
            flags |= pycares.ARES_FLAG_USEVC
        if not config.search:
            flags |= pycares.ARES_FLAG_NOSEARCH
        self._channel: Any = pycares.Channel(
            flags=flags, timeout=config.timeout, tries=config.tries, rotate=config.rotate, sock_state_cb=self._watch
        )
        if config.servers and not (config.servers_as_fallback and self._channel.servers != [_DEFAULT_SERVER]):
            self._channel.servers = config.servers

    def takes(self, name: str, family: socket.AddressFamily) -> bool:
        return not self._broken and (name, family) not in self._asked

    def ask(self, name: str, family: socket.AddressFamily, done: Done) -> None:
        self._asked.add((name, family))
        self._pending += 1

        def answered(found: Any, status: int | None) -> None:
            self._pending -= 1
            if not self._closed:
                done(self._resolution(found, status))
                self._settle()

        try:
            self._channel.getaddrinfo(name, None, family=family, flags=_AI_NOSORT, callback=answered)
        except (UnicodeError, RuntimeError, ValueError) as error:  # what IDNA says of names that cannot be any
            answered(None, self._ares.errno.ARES_EBADNAME)
            log.debug("%r is no name: %s", name, error)
        else:
            self._settle()

    def _resolution(self, found: Any, status: int | None) -> Resolution:
        errno = self._ares.errno
        if status is not None:
            if status in (errno.ARES_ENODATA, errno.ARES_ENOTFOUND):
                return Resolution()
            if status == errno.ARES_ECONNREFUSED:
                self._broken = True  # c-ares does not recover from all of its servers being refused
            return Resolution(error=str(errno.strerror(status)))
        addresses = dict.fromkeys(_text(node.addr[0]) for node in found.nodes)
        ttls = [node.ttl for node in found.nodes] + [alias.ttl for alias in found.cnames]
        return Resolution(tuple(addresses), min(ttls, default=0))

    def retire(self) -> None:
        """No more look-ups; ends with those that it has."""
        self._retired = True
        self._settle()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._channel.cancel()
        for descriptor in list(self._watched):
            self._watch(descriptor, False, False)
        self._channel.close()

    # ── the loop's side ───────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, descriptor: int, readable: bool, writable: bool) -> None:
        """c-ares says what it wants to hear of a socket."""
        was = self._watched.pop(descriptor, (False, False))
        if readable or writable:
            self._watched[descriptor] = (readable, writable)
        bad = self._ares.ARES_SOCKET_BAD
        if readable and not was[0]:
            self._loop.add_reader(descriptor, self._process, descriptor, bad)
        elif was[0] and not readable:
            self._loop.remove_reader(descriptor)
        if writable and not was[1]:
            self._loop.add_writer(descriptor, self._process, bad, descriptor)
        elif was[1] and not writable:
            self._loop.remove_writer(descriptor)

    def _process(self, readable: int, writable: int) -> None:
        if not self._closed:
            self._channel.process_fd(readable, writable)
            self._settle()

    def _settle(self) -> None:
        """After anything that happened: the next time-out's timer, or the end of a channel that is done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        if self._pending:
            bad = self._ares.ARES_SOCKET_BAD
            self._timer = self._loop.call_later(max(self._channel.timeout(), 0.001), self._process, bad, bad)
        elif self._retired:
            self.close()


def _text(address: bytes | str) -> str:
    return address.decode() if isinstance(address, bytes) else address


def _routable(family: socket.AddressFamily) -> bool:
    """Whether addresses of this family can be reached at all. Nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_ELSEWHERE[family], 53))
    except OSError:
        return False
    return True
