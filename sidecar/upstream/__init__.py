"""Clusters: hosts, their health, limits and connections.

Receives a stream that the router gave a cluster; picks a host through `balancer`, finds or opens a connection, and hands
it to the stream (or says why there is none). Next station: codec, towards the upstream.
"""
