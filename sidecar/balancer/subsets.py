"""Subsets: hosts with equal labels, and the requests that want them (Envoy's subset load balancer).

Which subset a request gets is one look-up, by the labels that its route asks for; what to do about labels that no subset
has is worked out when they are first asked for. A subset's own picker is made when it is first used: of several changes
in a row only the last one costs it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, cast

from sidecar.balancer.levels import Level, Rules
from sidecar.balancer.pickers import Picker, nobody
from sidecar.balancer.priorities import build
from sidecar.config.metadata_match import LB, label_value
from sidecar.config.model import Labels, SubsetFallback, Subsets
from sidecar.telemetry.cells import Counter
from sidecar.upstream.host import Host


class SubsetPicker:
    """The picker of a cluster with subsets, made anew when its hosts or their health change. `known` are the labels of
    the subsets that there are."""

    def __init__(self, levels: Sequence[Level], config: Subsets, rules: Rules) -> None:
        self._levels = levels
        self._config = config
        self._rules = _inner(rules, config)
        self._stats = rules.stats
        members, singles = _members(levels, config)
        self._subsets: dict[Labels, Picker] = {
            labels: _always(next(iter(hosts))) if labels in singles else self._over(partial(_same, hosts))
            for labels, hosts in members.items()
        }
        self._fallbacks = _selector_fallbacks(config)
        self._any = self._over(lambda: {host for level in levels for host in level.hosts})
        self._default = self._over(lambda: _matching(levels, config))
        self._fallback = self._cluster_fallback()
        self._found: dict[Labels, Picker] = {}  # what each request's labels lead to
        self.known = frozenset(members)
        self.duplicates = sum(len(members[labels]) - 1 for labels in singles)  # hosts that nobody will reach

    def __call__(self, wanted_for: Any) -> Host | None:
        match = wanted_for.metadata_match
        if match is None:
            return self._fallback(wanted_for)
        if self._config.fallback_list and match.alternatives is not None:
            for labels in match.alternatives:
                host = (self._found.get(labels) or self._find(labels))(wanted_for)
                if host is not None:
                    return host
            return None
        return (self._found.get(match.labels) or self._find(match.labels))(wanted_for)

    def _find(self, labels: Labels) -> Picker:
        picker = self._found[labels] = self._of(self._narrowed(labels))
        return picker

    def _of(self, labels: Labels) -> Picker:
        picker = self._subsets.get(labels)
        if picker is not None:
            return _counted(picker, self._stats.lb_subsets_selected)
        fallback, keys = self._fallbacks.get(tuple(name for name, _ in labels), _CLUSTERS)
        if fallback is SubsetFallback.NOT_DEFINED:
            return self._fallback
        if fallback is SubsetFallback.KEYS_SUBSET:
            return self._of(tuple(label for label in labels if label[0] in keys))
        return {SubsetFallback.ANY_ENDPOINT: self._any, SubsetFallback.DEFAULT_SUBSET: self._default}.get(
            fallback, nobody
        )

    def _narrowed(self, labels: Labels) -> Labels:
        """With `redundant_keys` only the labels of the first selector that they all fit."""
        if self._config.redundant_keys:
            names = {name for name, _ in labels}
            for selector in self._config.selectors:
                if names.issuperset(selector.keys):
                    return tuple(label for label in labels if label[0] in selector.keys)
        return labels

    def _cluster_fallback(self) -> Picker:
        config, stats, everybody = self._config, self._stats, self._any
        if config.fallback is SubsetFallback.NO_FALLBACK:
            return nobody
        first = everybody if config.fallback is SubsetFallback.ANY_ENDPOINT else self._default

        def pick(wanted_for: Any) -> Host | None:
            host = first(wanted_for)
            if host is not None:
                stats.lb_subsets_fallback.value += 1
            elif config.panic_mode_any:
                host = everybody(wanted_for)
                if host is not None:
                    stats.lb_subsets_fallback_panic.value += 1
            return host

        return pick

    def _over(self, members: Callable[[], Collection[Host]]) -> Picker:
        made: list[Picker] = []

        def pick(wanted_for: Any) -> Host | None:
            if not made:
                hosts = members()
                made.append(build([level.only(hosts) for level in self._levels], self._rules))
            return made[0](wanted_for)

        return pick


_CLUSTERS = (SubsetFallback.NOT_DEFINED, frozenset[str]())


def _inner(rules: Rules, config: Subsets) -> Rules:
    """What holds within a subset."""
    balancing = replace(
        rules.config,
        subsets=None,
        locality_weighted=rules.config.locality_weighted and config.locality_weight_aware,
    )
    return replace(rules, config=balancing, scale_weights=config.scale_locality_weight)


def _members(levels: Sequence[Level], config: Subsets) -> tuple[dict[Labels, dict[Host, None]], set[Labels]]:
    """The hosts of each subset in order, and the subsets that have only their first. The selector that names a subset
    first decides which kind it is."""
    members: dict[Labels, dict[Host, None]] = {}
    singles: set[Labels] = set()
    for level in levels:
        for host in level.hosts:
            for labels, single in _all_labels(host, config):
                if labels not in members:
                    members[labels] = {}
                    if single:
                        singles.add(labels)
                members[labels][host] = None
    return members, singles


def _all_labels(host: Host, config: Subsets) -> Sequence[tuple[Labels, bool]]:
    """By which labels the selectors find a host, and whether as the only one: asked for at each change of anybody's health,
    and worked out once."""
    noted = host.labels
    if noted is None or noted[0] is not config:
        found = [
            (labels, selector.single_host)
            for selector in config.selectors
            for labels in _labels_of(host, selector.keys, config)
        ]
        noted = host.labels = config, found
    return cast(Sequence[tuple[Labels, bool]], noted[1])


def _labels_of(host: Host, keys: Sequence[str], config: Subsets) -> Iterable[Labels]:
    """By which labels a host is found under these keys: none if it lacks one of them, several where a list counts as
    any of its values."""
    fields = host.metadata.get(LB, {})
    if not all(key in fields for key in keys):
        return ()
    values = [fields[key] if config.list_as_any and isinstance(fields[key], list) else [fields[key]] for key in keys]
    return (tuple(zip(keys, map(label_value, combined), strict=True)) for combined in product(*values))


def _same(hosts: Collection[Host]) -> Collection[Host]:
    return hosts


def _matching(levels: Sequence[Level], config: Subsets) -> set[Host]:
    """The hosts of the default subset."""
    wanted = config.default
    names = [name for name, _ in wanted]
    return {
        host
        for level in levels
        for host in level.hosts
        if not wanted or any(labels == wanted for labels in _labels_of(host, names, config))
    }


def _selector_fallbacks(config: Subsets) -> dict[tuple[str, ...], tuple[SubsetFallback, frozenset[str]]]:
    """By the keys of a request. Envoy notes them in a tree: a selector whose keys are the beginning of one that was
    written before it has no policy of its own."""
    found: dict[tuple[str, ...], tuple[SubsetFallback, frozenset[str]]] = {}
    for selector in config.selectors:
        for length in range(1, len(selector.keys)):
            found.setdefault(selector.keys[:length], _CLUSTERS)
        found.setdefault(selector.keys, (selector.fallback, selector.fallback_keys))
    return found


def _always(host: Host) -> Picker:
    return lambda _for: host


def _counted(picker: Picker, counter: Counter) -> Picker:
    def pick(wanted_for: Any) -> Host | None:
        counter.value += 1
        return picker(wanted_for)

    return pick
