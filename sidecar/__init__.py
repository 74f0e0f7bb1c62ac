"""The proxy beside a service: see ARCHITECTURE.md for its stations."""

from sidecar.process import native

native.activate()
