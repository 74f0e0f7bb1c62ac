"""Route configurations whose virtual hosts are resources of their own (VHDS,
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds), put together. Pure.

A host is called CONFIGURATION/HOST. Hosts may come before their configuration and stay when it goes; a configuration is
complete once an answer about virtual hosts has come since, whatever was in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from mesh.xds import routes_of
from sidecar.config.model import RouteConfig, VirtualHost
from sidecar.config.routes import longest_body

Domains = dict[str, str]  # domain → the name of the host that has it


class VirtualHosts:
    """The hosts of one proxy, and the configurations that they belong to as they came."""

    def __init__(self) -> None:
        self.wanted = False  # some configuration has asked for virtual hosts, ever
        self._bases: dict[str, RouteConfig] = {}
        self._pending: set[str] = set()  # configurations that wait for their first hosts
        self._hosts: dict[str, dict[str, VirtualHost]] = {}
        self._domains: dict[str, Domains] = {}

    # ── what is wrong ─────────────────────────────────────────────────────────────────────────────────────────────────

    def problems(self, changed: Mapping[str, VirtualHost], removed: Collection[str]) -> dict[str, str]:
        """Of the hosts of a response, by their names: a domain that another has, a body that is too long."""
        errors: dict[str, str] = {}
        fresh: dict[str, Domains] = {}
        for name, host in changed.items():
            base = self._bases.get(routes_of(name))
            own = fresh.setdefault(routes_of(name), {} if base is None else _inline_domains(base))
            taken = self._domains.get(routes_of(name), {})
            for index, domain in enumerate(map(str.lower, host.domains)):
                other = own.get(domain) or taken.get(domain, name)
                if domain in own or not (other == name or other in changed or other in removed):
                    errors[name] = f"domains[{index}]: {domain!r} is a domain of virtual host {other!r} already"
            if base is not None and (longest := longest_body(host)) > base.body_limit:
                errors[name] = f"a direct response has {longest} bytes, at most {base.body_limit} are allowed"
            if name not in errors:
                own.update(dict.fromkeys(map(str.lower, host.domains), name))
        return errors

    def clashes(self, base: RouteConfig) -> str:
        """What is wrong with a configuration because of the hosts that it has already, "" for nothing."""
        taken = self._domains.get(base.name, {}) if base.vhds else {}
        both = next((domain for domain in _inline_domains(base) if domain in taken), None)
        return "" if both is None else f"{both!r} is a domain of virtual host {taken[both]!r} already"

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

    def set_bases(self, changed: Iterable[RouteConfig]) -> list[RouteConfig]:
        """Those of the configurations that are complete, with their hosts."""
        for base in changed:
            before = self._bases.get(base.name)
            self._bases[base.name] = base
            if base.vhds:
                self.wanted = True
                if (before is None or not before.vhds) and not self._hosts.get(base.name):
                    self._pending.add(base.name)
            else:
                self._pending.discard(base.name)
        return [self._whole(base) for base in changed if base.name not in self._pending]

    def set_hosts(self, changed: Mapping[str, VirtualHost], removed: Iterable[str]) -> list[RouteConfig]:
        """The configurations that are different now, or complete."""
        touched = self._pending
        self._pending = set()
        for name in removed:
            if self._drop(name):
                touched.add(routes_of(name))
        for name in changed:
            self._drop(name)
        for name, host in changed.items():
            of = routes_of(name)
            self._hosts.setdefault(of, {})[name] = host
            self._domains.setdefault(of, {}).update(dict.fromkeys(map(str.lower, host.domains), name))
            touched.add(of)
        return [self._whole(base) for name, base in self._bases.items() if name in touched and base.vhds]

    def give_up(self, awaited: Collection[str]) -> list[RouteConfig]:
        """The configurations that nobody waits for any longer, without the hosts that have not come."""
        late = [name for name in self._pending if name not in awaited]
        self._pending.difference_update(late)
        return [self._bases[name] for name in late]

    def keep(self, names: Collection[str]) -> None:
        """Other configurations than these are gone."""
        for name in [name for name in self._bases if name not in names]:
            del self._bases[name]
            self._pending.discard(name)

    def _drop(self, name: str) -> bool:
        host = self._hosts.get(routes_of(name), {}).pop(name, None)
        if host is None:
            return False
        domains = self._domains[routes_of(name)]
        for domain in map(str.lower, host.domains):
            if domains.get(domain) == name:
                del domains[domain]
        return True

    def _whole(self, base: RouteConfig) -> RouteConfig:
        """Its own hosts first, then the others by name, as in Envoy."""
        hosts = self._hosts.get(base.name) if base.vhds else None
        if not hosts:
            return base
        return replace(base, virtual_hosts=(*base.virtual_hosts, *(hosts[name] for name in sorted(hosts))))


def _inline_domains(base: RouteConfig) -> Domains:
    return {domain.lower(): host.name for host in base.virtual_hosts for domain in host.domains}
