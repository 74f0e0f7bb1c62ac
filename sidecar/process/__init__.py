"""The process around the data plane: flags, compiled modules, drain, overload, timers, and what it tells of its machine."""
