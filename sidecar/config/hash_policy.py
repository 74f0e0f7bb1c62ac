"""RouteAction.hash_policy → what requests are balanced by."""

from __future__ import annotations

from sidecar.config.common import substitution
from sidecar.config.model import HashPolicy, HashSource
from sidecar.config.reader import Reader


def hash_policies(reader: Reader) -> tuple[HashPolicy, ...]:
    found = [_hash_policy(each) for each in reader.children("hash_policy")]
    return tuple(policy for policy in found if policy is not None)


def _hash_policy(reader: Reader) -> HashPolicy | None:
    """None for one that never yields a hash: the source's address, switched off."""
    terminal = reader.flag("terminal")
    if (header := reader.child("header")) is not None:
        name = header.text("header_name").lower()
        return HashPolicy(
            HashSource.HEADER, name, terminal=terminal, rewrite=substitution(header.child("regex_rewrite"))
        )
    if (cookie := reader.child("cookie")) is not None:
        return _cookie(cookie, terminal)
    if (connection := reader.child("connection_properties")) is not None:
        return HashPolicy(HashSource.SOURCE_IP, terminal=terminal) if connection.flag("source_ip") else None
    if (parameter := reader.child("query_parameter")) is not None:
        return HashPolicy(HashSource.QUERY_PARAMETER, parameter.text("name"), terminal=terminal)
    reader.refuse("filter_state")
    return None


def _cookie(reader: Reader, terminal: bool) -> HashPolicy:
    ttl = reader.optional_seconds("ttl")
    return HashPolicy(
        HashSource.COOKIE,
        reader.text("name"),
        terminal=terminal,
        ttl=None if ttl is None else int(ttl),
        path=reader.text("path"),
        attributes=tuple((each.text("name"), each.text("value")) for each in reader.children("attributes")),
    )
