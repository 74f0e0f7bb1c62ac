"""Transparent interception: an app that knows nothing of a mesh, in a network namespace with the rules of `mesh iptables`.

Each test runs with our sidecar and with a real Envoy, from the same bootstrap and the same control plane.
"""
