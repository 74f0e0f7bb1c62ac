"""`lb_subset_config`, and the policy extension that says the same → Subsets."""

from __future__ import annotations

from sidecar.config.metadata_match import labels
from sidecar.config.model import SubsetFallback, Subsets, SubsetSelector
from sidecar.config.reader import Reader


def subsets(reader: Reader | None, *, redundant_keys: bool = False) -> Subsets | None:
    """None without selectors: there are no subsets then, whatever else is set."""
    if reader is None:
        return None
    read = [_selector(each) for each in reader.children("subset_selectors")]
    selectors = [each for each in read if each.keys]
    if redundant_keys:
        selectors.sort(key=lambda each: -len(each.keys))  # what fits best is tried first
    compiled = Subsets(
        selectors=tuple(selectors),
        fallback=SubsetFallback[reader.enum("fallback_policy")],
        default=labels(reader.struct("default_subset")),
        locality_weight_aware=reader.flag("locality_weight_aware"),
        scale_locality_weight=reader.flag("scale_locality_weight"),
        panic_mode_any=reader.flag("panic_mode_any"),
        list_as_any=reader.flag("list_as_any"),
        fallback_list=reader.enum("metadata_fallback_policy") == "FALLBACK_LIST",
        redundant_keys=redundant_keys,
    )
    return compiled if read else None


def _selector(reader: Reader) -> SubsetSelector:
    fallback = SubsetFallback[reader.enum("fallback_policy")]
    keys, fewer = frozenset(reader.values("keys")), frozenset(reader.values("fallback_keys_subset"))
    if fallback is not SubsetFallback.KEYS_SUBSET:
        if fewer:
            reader.problem("is for the fallback_policy KEYS_SUBSET only", "fallback_keys_subset")
    elif not fewer:
        reader.problem("is required for the fallback_policy KEYS_SUBSET", "fallback_keys_subset")
    elif not fewer < keys:
        reader.problem("must be some of the keys, and not all of them", "fallback_keys_subset")
    return SubsetSelector(tuple(sorted(keys)), fallback, fewer, reader.flag("single_host_per_subset"))
