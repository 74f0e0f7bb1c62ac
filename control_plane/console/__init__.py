"""The HTTP API, and later the web console.

Receives HTTP requests (JSON in, JSON out; every mistake is answered with `{"errors": [...]}`), asks `store` to change
the configuration, and answers from `store`, `registry` and `ads`. A file for each group of paths; `server` puts them
together.
"""
