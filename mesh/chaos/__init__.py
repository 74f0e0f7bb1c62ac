"""Faults of this machine: processes that are paused or killed, connections that are all taken.

Receives from `mesh experiment run` what is to be broken and for how long; `keeper` is a process of its own that breaks and
mends, so that a fault ends with its time, or with whoever asked for it, whichever is first. `processes` finds workloads
that `mesh run` and `mesh demo` have started.
"""
