"""The Istio API: receives YAML or JSON, returns checked `Resource`s or every problem with its file, line and field.

`load.py` is the way in; `schema.py` knows the kinds, each in a file of its own; `refused.py` is the one table of what
Istio knows and this mesh does not do yet. Next station: the control plane's store.
"""
