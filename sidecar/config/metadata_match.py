"""`metadata_match` of routes, weighted clusters and TCP proxies: what the endpoint's metadata has to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sidecar.config.model import Labels, MetadataMatch
from sidecar.config.reader import Reader

LB: Final = "envoy.lb"  # the metadata that balancing looks at
FALLBACK_LIST: Final = "fallback_list"


def labels(fields: Mapping[str, Any]) -> Labels:
    """Names and values as they are compared: 1 is not "1", and not true either."""
    return tuple((name, label_value(fields[name])) for name in sorted(fields))


def label_value(value: Any) -> str:
    return _quoted(value) if type(value) is str else json.dumps(value, sort_keys=True)


@lru_cache(4096)
def _quoted(text: str) -> str:
    """Most labels are text, and many hosts have the same."""
    return json.dumps(text)


def metadata_match(reader: Reader, outer: Mapping[str, Any] | None = None) -> MetadataMatch | None:
    """The message's own, over those of the message that it is in (`outer`, of `match_fields`)."""
    return compiled({**(outer or {}), **match_fields(reader)})


def match_fields(reader: Reader) -> Mapping[str, Any]:
    return reader.metadata("metadata_match").get(LB, {})


def compiled(fields: Mapping[str, Any]) -> MetadataMatch | None:
    if not fields:
        return None
    wishes = fields.get(FALLBACK_LIST)
    if not isinstance(wishes, list):
        return MetadataMatch(labels(fields))
    others = {name: value for name, value in fields.items() if name != FALLBACK_LIST}
    changed = [{**others, **(wish if isinstance(wish, dict) else {})} for wish in wishes]
    return MetadataMatch(labels(fields), tuple(map(labels, changed or [others])))
