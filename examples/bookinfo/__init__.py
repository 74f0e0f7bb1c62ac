"""Bookinfo: four small services with the HTTP contract of the demo application that Istio's documentation uses.

    browser → productpage → details
                          → reviews (v1, v2, v3) → ratings

None of them knows of the mesh: they retry nothing, balance nothing and measure nothing. What they do for it is what any
app has to do: pass the trace headers on, and use the HTTP proxy that the environment names. Each runs from the root of
the repository: `python -m examples.bookinfo.reviews --version v2 --port 9080`.
"""
