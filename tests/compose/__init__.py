"""The compose stack on a real container engine, as a user starts it (marker `compose`: `make test-compose`).

The engine is whichever the `docker` command reaches. Names, ports and volumes are the test's own, so that a stack that
somebody has running stays as it is.
"""
