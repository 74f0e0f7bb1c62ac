"""Experiments as they run: the rim of `mesh.experiments`.

Receives the `Experiment` resources of the store and, each interval, the metrics of the proxies (`collector`); decides with
`mesh.experiments.lifecycle`, and writes routes and progress as one revision (`controller`). Next stations: the store, and
through it the proxies.
"""
