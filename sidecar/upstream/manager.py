"""All clusters of the process, by name."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.balancer.levels import Local, Place
from sidecar.config import model
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext
from sidecar.upstream.dns import DnsCluster, Known, needs_dns
from sidecar.upstream.dns_cache import NameCache
from sidecar.upstream.resolver import Resolver


class ClusterManager:
    """Adds, changes and removes clusters. `clusters` is what routing looks names up in; it is changed in place."""

    def __init__(
        self,
        context: UpstreamContext,
        local_cluster: str = "",
        place: Place = ("", "", ""),
        dns: model.DnsResolver | None = None,
        make_resolver: Callable[[model.DnsResolver], Resolver] | None = None,
    ) -> None:
        self._context = context
        self._dns = dns or model.DnsResolver()
        self._make_resolver = make_resolver or (lambda config: Resolver(config, context.loop))
        self._local_cluster = local_cluster  # of the proxies of this kind, at `place`: what zone-aware routing compares
        self._place = place
        self.clusters: dict[str, ClusterRuntime] = {}
        self._assignments: dict[str, model.Assignment] = {}  # by EDS name
        self._by_eds_name: dict[str, dict[str, ClusterRuntime]] = {}
        self._discoveries: dict[str, DnsCluster] = {}
        self._caches: dict[str, NameCache] = {}  # of dynamic forward proxies, by cluster
        self._resolvers: dict[model.DnsResolver, Resolver] = {}

    def set_cluster(self, config: model.Cluster) -> None:
        cluster = self.clusters.get(config.name)
        if cluster is not None and cluster.config == config:
            return
        before = self._stop_resolving(config.name)
        known = (
            before.known if before is not None and cluster and cluster.config.dns.family is config.dns.family else {}
        )
        if cluster is None:
            cluster = self._new(config)
        else:
            self._forget(cluster)
            cluster.update(config)
        self._by_eds_name.setdefault(_eds_name(config), {})[config.name] = cluster
        self._keep_names(cluster, config.dns_cache)
        if config.discovery is model.Discovery.EDS:
            assignment = self._assignments.get(_eds_name(config))
            if assignment is not None:
                cluster.set_assignment(assignment)
        elif needs_dns(config):
            self._discover(cluster, known)
        elif config.assignment is not None:
            cluster.set_assignment(config.assignment)
        self.clusters[config.name] = cluster
        if config.name == self._local_cluster:
            self._local_changed()

    def _new(self, config: model.Cluster) -> ClusterRuntime:
        if config.name != self._local_cluster:
            return ClusterRuntime(config, self._context, self._local)
        cluster = ClusterRuntime(config, self._context)
        cluster.on_change = self._local_changed
        return cluster

    def _local(self) -> Local | None:
        cluster = self.clusters.get(self._local_cluster)
        return Local(self._place, cluster.levels()[0]) if cluster is not None else None

    def _local_changed(self) -> None:
        for name, cluster in self.clusters.items():
            if name != self._local_cluster:
                cluster.rebuild()

    def set_assignment(self, assignment: model.Assignment) -> None:
        self._assignments[assignment.cluster] = assignment
        for cluster in self._by_eds_name.get(assignment.cluster, {}).values():
            if cluster.config.discovery is model.Discovery.EDS:
                stats = cluster.stats
                stats.update_attempt.value += 1
                missing = not (assignment.source or assignment.localities)  # the control plane says that there is none
                (stats.update_empty if missing else stats.update_success).value += 1
                cluster.set_assignment(assignment)

    def remove_cluster(self, name: str) -> None:
        self._stop_resolving(name)
        cluster = self.clusters.pop(name, None)
        if cluster is None:
            return
        self._keep_names(cluster, None)
        cluster.close()
        if name == self._local_cluster:
            self._local_changed()
        self._forget(cluster)
        if _eds_name(cluster.config) not in self._by_eds_name:
            self._assignments.pop(_eds_name(cluster.config), None)

    def _forget(self, cluster: ClusterRuntime) -> None:
        """That its configuration has this EDS name."""
        eds_name = _eds_name(cluster.config)
        named = self._by_eds_name[eds_name]
        del named[cluster.name]
        if not named:
            del self._by_eds_name[eds_name]

    def _discover(self, cluster: ClusterRuntime, known: Known) -> None:
        config, context = cluster.config, self._context
        resolver = self._resolver(config.dns.resolver)
        discovery = self._discoveries[config.name] = DnsCluster(
            config, resolver, cluster.set_assignment, cluster.stats, context.loop, context.rng, known
        )
        discovery.start()

    def _keep_names(self, cluster: ClusterRuntime, config: model.DnsCache | None) -> None:
        """The cache of a dynamic forward proxy; what it knows stays as long as its configuration does."""
        before = self._caches.get(cluster.name)
        if before is not None and before.config != config:
            self._caches.pop(cluster.name).close()
            cluster.names = None
            self._release(before.resolver)
        if config is not None and cluster.names is None:
            context, resolver = self._context, self._resolver(config.resolver)
            cluster.names = self._caches[cluster.name] = NameCache(config, resolver, context.loop, context.stats)

    def _resolver(self, wanted: model.DnsResolver | None) -> Resolver:
        asked = wanted or self._dns
        resolver = self._resolvers.get(asked)
        if resolver is None:
            resolver = self._resolvers[asked] = self._make_resolver(asked)
        return resolver

    def _release(self, resolver: Resolver) -> None:
        """Closes a resolver that nobody uses any more."""
        users: list[DnsCluster | NameCache] = [*self._discoveries.values(), *self._caches.values()]
        if all(each.resolver is not resolver for each in users):
            resolver.close()
            self._resolvers = {asked: each for asked, each in self._resolvers.items() if each is not resolver}

    def _stop_resolving(self, name: str) -> DnsCluster | None:
        discovery = self._discoveries.pop(name, None)
        if discovery is not None:
            discovery.close()
            self._release(discovery.resolver)
        return discovery


def _eds_name(config: model.Cluster) -> str:
    return config.eds_name or config.name
