"""Bytes that nobody should send, thrown at a running sidecar from both sides.

`python -m tests.fuzz --seconds N` (or `make fuzz`) mutates the corpus; what breaks a rule of `rules` is written into the
corpus, which `make test` replays. `corpus/requests` are bytes of a client, `corpus/responses` of an upstream.
"""
