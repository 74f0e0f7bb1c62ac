"""The oracle: one bootstrap on a real Envoy and on `mesh-sidecar`, the same bytes to both, everything seen compared.

`case` says what a case is, `bootstrap` makes one configuration of a topic's cases, `run` performs a case on one side
and returns an `observe.Observation`, `observe` flattens and compares two of them. `topics/` holds the
cases, `differences` the places where ours is meant to differ. With `MESH_ORACLE_CANDIDATE=envoy` a second
Envoy is judged in our place: every case has to find it equal.
"""
