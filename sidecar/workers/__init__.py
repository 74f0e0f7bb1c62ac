"""`--concurrency N`: worker processes that serve, and one supervisor that has the configuration and the admin port.

Receives configuration as `sidecar.runtime` does (`fleet.Fleet` is a `ConfigTarget`, too), so the control plane sees one
stream and one workload. Every worker gets each change over a socket of its own and applies it to a `Runtime` of its own;
all of them listen on the same ports (SO_REUSEPORT), and the kernel shares connections out. What the admin port shows is
asked of all workers and put together (`merge`). With `--concurrency 1` nothing of this is there: one process does it all.

Per worker, and not per process as in Envoy: circuit-breaker limits and retry budgets, outlier detection, the three-state
breaker, health checks, connection pools, local rate limits, round robin's turn.
"""
