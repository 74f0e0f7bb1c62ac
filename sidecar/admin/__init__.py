"""The admin port: what Envoy's shows and does, over aiohttp (`server.AdminServer`).

Receives a view of the runtime (`views.RuntimeView`) and the process's telemetry; answers with their state in Envoy's
shapes. Nothing follows: it is read by people, istioctl-like tools and Prometheus.
"""

from sidecar.admin.server import AdminServer

__all__ = ["AdminServer"]
