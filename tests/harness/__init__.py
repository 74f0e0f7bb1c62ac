"""What the tests that use real sockets share: receives nothing, gives processes, ports, a scripted upstream, a raw
client, the real Envoy. Everything is on loopback and bounded by deadlines; nothing here imports the mesh."""
