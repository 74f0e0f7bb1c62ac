"""Listeners: accepted connections, and which filter chain gets them.

Receives sockets' connections; finds their original destination where traffic was redirected, looks at the first bytes
where a filter chain depends on them, and hands the connection to a codec (HTTP) or a TCP proxy. Next station: codec.
"""
