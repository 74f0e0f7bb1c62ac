"""Why a request went where it went: steps in words, where each comes from, and how they are shown. Pure.

`sidecar.explain` makes the steps with the proxy's own reader and matcher; here is what needs neither half.
"""
