"""What the ADS client drives: the data plane, seen from the configuration's side."""

from __future__ import annotations

from typing import Protocol

from sidecar.config import model


class ConfigTarget(Protocol):
    """Takes configuration that is compiled and warm. Every call is synchronous and in effect when it returns: the next
    request sees it, requests under way keep what they began with."""

    def set_cluster(self, cluster: model.Cluster) -> None:
        """Added, or changed in place of the one of that name."""

    def remove_cluster(self, name: str) -> None: ...

    def set_assignment(self, assignment: model.Assignment) -> None:
        """The endpoints of every cluster whose `eds_name` this is; may come before the cluster."""

    def set_listener(self, listener: model.Listener) -> None:
        """Added or changed. ConfigError or OSError (the port is taken, say) leaves things as they were."""

    def remove_listener(self, name: str) -> None: ...

    def set_routes(self, routes: model.RouteConfig) -> None:
        """May come before the listener that asks for it by name."""

    def remove_routes(self, name: str) -> None: ...

    def initialized(self) -> None:
        """The first round of everything is in effect: the proxy is ready. Called once."""
