"""The bench: our sidecar and a real Envoy on one bootstrap, alternating in one run, beside nginx and HAProxy.

`python -m tests.bench` (or `make bench`) runs it; README.md says how to read what it prints. `cases` says what is
measured, `proxies` starts each proxy for a case, `load` drives it, `measure` reads its CPU time, `report` writes.
"""
