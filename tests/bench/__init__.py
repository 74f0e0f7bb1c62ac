"""The bench: our sidecar and a real Envoy on one bootstrap, alternating in one run, beside other proxies.

`python -m tests.bench` (or `make bench`) runs it; README.md says how to read what it prints. `cases` says what is
measured under load, `timings` what of configuration; `proxies` starts each proxy, `load` drives it, `measure` reads its CPU
time, `report` and `document` write.
"""
