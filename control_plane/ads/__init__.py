"""Configuration on its way to the proxies: the xDS server, state-of-the-world and delta.

Receives Worlds (`PushHub.publish`) and gRPC streams (`AdsServer`). Sends each proxy what of its snapshot it has asked
for and does not have yet, in an order in which nothing ever points to something that is not there; remembers what was
sent, acknowledged and rejected, and answers with it (`proxies`, `proxy_config`, `convergence`). Next station:
`sidecar/xds`, over the wire.

Inside: `wire` (protobuf ↔ our words) → `subscription` (what a request means; pure) → `push` (what goes out now; pure) →
`stream` (one proxy's tasks) → `hub` (all proxies) → `server` (gRPC).
"""
