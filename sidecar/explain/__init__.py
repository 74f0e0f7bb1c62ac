"""What a proxy would do with a request, and why: what it was given and a call → `mesh.explain.steps`. Pure.

Nothing here decides: configuration is read by the proxy's own compilers (`sidecar.config`), and listeners, filter chains,
virtual hosts, rules and destinations are chosen by its own matchers. What is added is words.
"""

from sidecar.explain.given import Call, Given, HostState, messages_of
from sidecar.explain.way import explain, rules_to

__all__ = ["Call", "Given", "HostState", "explain", "messages_of", "rules_to"]
