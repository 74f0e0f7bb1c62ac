"""The sidecar's ADS client.

Receives the control plane's responses over one gRPC stream, delta or state of the world; returns ACKs and NACKs, and calls
a `ConfigTarget` with compiled configuration once it is warm. Next station: the data plane (`sidecar.runtime`).

`subscriptions` and `warming` are the rules, without I/O; `intake` puts them together with the compilers; `client` has the
stream, the time-outs and the copy on disk (`cache`).
"""
