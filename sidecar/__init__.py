"""The proxy beside a service: see ARCHITECTURE.md for its stations."""

from sidecar import native

native.activate()
