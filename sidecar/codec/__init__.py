"""HTTP/1.1 and HTTP/2 on the wire.

Receives bytes from listener (downstream) and upstream connections, returns parsed heads and framed bodies to
`sidecar.forward`, and renders what it sends back. Next station: router.
"""
