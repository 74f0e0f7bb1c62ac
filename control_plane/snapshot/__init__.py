"""One proxy's configuration, consistent and ready to send.

Receives what `translate` made of `(world, node)`: messages, or resources that are ready, by type URL and name. Returns a
`Snapshot`: every resource with the hash of its content as version and its bytes already packed, shared between all
proxies that get the same. What it holds is complete by construction: no cluster asks for endpoints, and no listener for
routes, that are not there.
Next station: `ads`.
"""
