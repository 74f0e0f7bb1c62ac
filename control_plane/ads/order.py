"""In which order a proxy gets what: what is pointed to before what points to it, and what goes the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from control_plane.ads.subscription import Subscription
from control_plane.resource import Versioned
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST

# Envoy gives a resource 15 s to arrive; a proxy silent for 10 s is not going to be broken by our going on.
ACK_WAIT: Final = 10.0
# Envoy asks for the endpoints of a new cluster before it acknowledges the cluster; other clients may take a moment.
ASK_WAIT: Final = 1.0

BACK: Final = (CLUSTER, ENDPOINT)
FRONT: Final = (LISTENER, ROUTE, VIRTUAL_HOST)
# What is removed once nothing of these types is on its way.
REMOVALS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (LISTENER, ()),
    (ROUTE, (LISTENER,)),
    (VIRTUAL_HOST, (ROUTE,)),
    (CLUSTER, (ROUTE, VIRTUAL_HOST)),
    (ENDPOINT, (CLUSTER,)),
)
# In state-of-the-world these responses hold everything, and what they do not hold is gone; the others hold a part.
WHOLE_TYPES: Final = frozenset({CLUSTER, LISTENER})


def in_the_way(front: Subscription, due: Mapping[str, Versioned]) -> set[str]:
    """Listeners that go and whose address a new one takes, virtual hosts with its domain: two of them are refused, so that
    these go at once. One of which only the version is known may have any."""
    if front.type_url not in (LISTENER, VIRTUAL_HOST) or not due or not front.gone:
        return set()
    taken = frozenset().union(*(resource.binds for resource in due.values()))
    told = front.told
    return {name for name in front.gone if not told[name].known or told[name].binds & taken}
