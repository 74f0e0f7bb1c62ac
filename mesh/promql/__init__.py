"""A part of PromQL, over samples in memory: rules and questions written for Prometheus are answered where there is none.

Text goes into `parse`, which gives a `syntax` tree; `evaluate` answers it from a `series.Store`. What the language has and
this does not (subqueries, offsets, native histograms …) is refused by name. Prometheus itself is the judge in the tests.
"""
