"""The accepted configuration, and the Worlds that are made of it.

Receives texts from the API and commits from its `Source`; checks them with `mesh.istio`, and answers what changed or
everything that is wrong. After every change, of the configuration or of the workloads, it waits for quiet and publishes
one immutable `World`. Next stations: `translate`, called by `ads`.
"""
