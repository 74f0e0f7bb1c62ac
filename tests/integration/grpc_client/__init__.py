"""Proxyless gRPC against a control plane that got its services and rules as YAML."""
