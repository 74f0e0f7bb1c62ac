"""YAML and a call → where it goes; and whether a real Envoy takes what was sent. No sockets."""
