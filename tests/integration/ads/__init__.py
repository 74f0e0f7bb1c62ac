"""The xDS server on real sockets: scripted clients, and the real Envoy."""
