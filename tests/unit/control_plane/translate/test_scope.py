"""Which services a Sidecar's egress imports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.translate.hosts import covers, is_wildcard
from control_plane.translate.scope import _Patterns

NAMESPACES = st.sampled_from(("*", "a", "b"))
HOSTS = st.sampled_from(("*", "*.x", "*.y.x", "z.y.x", "y.x", "w"))


@given(st.lists(st.tuples(NAMESPACES, HOSTS), max_size=4), st.sampled_from(("a", "b", "c")), HOSTS)
def test_patterns_that_are_looked_up_mean_what_each_of_them_means(
    patterns: list[tuple[str, str]], namespace: str, name: str
) -> None:
    of_namespace = [host for where, host in patterns if where in ("*", namespace)]
    covered = any(covers(host, name) for host in of_namespace)
    overlaps = covered or (is_wildcard(name) and any(covers(name, host) for host in of_namespace))
    found = _Patterns(patterns)
    assert (found.cover(namespace, name), found.overlap(namespace, name)) == (covered, overlaps)
