"""Istio's resources → Envoy's: `build(world, node)` receives a World and who asks, returns that proxy's xDS messages.

Pure: nothing here waits, reads a clock or draws a number, and equal arguments give equal messages in an equal order.
What is the same for many proxies is made once a world and shared (`index`, keyed by `viewer`: all that it may depend
on). A file for each xDS type or concern: `clusters` (+ `cluster_policy`, `policy`), `endpoints`, `listeners`, `inbound`,
`gateway`, `grpc`, `routes` (+ `virtual_hosts`, `virtual_service`, `match`, `actions`, `headers`, `retry`, `fault`, `cors`).
Next station: `snapshot`.
"""

from control_plane.translate.proxy import Resources, build

__all__ = ["Resources", "build"]
