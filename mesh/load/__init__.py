"""Load: requests that are sent when they are due, whatever became of those before them.

Receives a `Plan` (what is asked for, how often, for how long); gives a `Report`. `schedule` says when (pure), `template`
what, `connection` and `generator` send it, `recorder` counts; `processes` spreads a plan over worker processes.
Latency counts from the moment at which a request was due, not from when it could be sent: a slow server cannot hide what
its slowness did to those who waited (coordinated omission).
"""
