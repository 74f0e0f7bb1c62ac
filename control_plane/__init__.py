"""The control plane: reads what the mesh should do, and tells every proxy its part of it.

Receives Istio and Kubernetes resources (HTTP API, folder) and the proxies' own registrations (their xDS streams);
returns Envoy's v3 xDS. Stations, in order: `sources → store (with registry) → translate → snapshot → ads`; `console` is
the HTTP API in front of the store, `app` puts them together.
"""
