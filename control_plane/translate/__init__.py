"""Istio's resources → Envoy's: `build(world, node)` receives a World and who asks, returns that proxy's xDS messages.

Pure: nothing here waits, reads a clock or draws a number, and equal arguments give equal messages. What is the same for
many proxies is made once and shared (`index`, keyed by `viewer`: all that it may depend on), and stays for later Worlds
as long as nothing that it was made from changes (`Translator`, `memo`): that works by itself, for what is read of a World
through `Index`. What there is one of for every service stays as bytes that are ready to be sent (`control_plane.resource`).

A file for each xDS type or concern: `clusters` (+ `cluster_policy`, `policy`), `endpoints`, `listeners`, `inbound`,
`gateway`, `grpc`, `routes` (+ `virtual_hosts`, `virtual_service`, `match`, `actions`, `headers`, `retry`, `fault`, `cors`).
Next station: `snapshot`.
"""

from control_plane.translate.proxy import Resources, Translator, build

__all__ = ["Resources", "Translator", "build"]
