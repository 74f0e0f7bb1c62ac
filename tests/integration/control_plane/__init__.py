"""The control plane as users run it: a process, its HTTP API, its xDS port."""
