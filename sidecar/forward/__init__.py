"""The way of one request: filters, route, host, connection, response; and back again when an attempt fails.

A `Stream` is the exchange with its behaviour, built up by phase: `state` (what it holds, and how it ends), `failures`
(and whether to try again), `timeouts`, `attempts` (towards a host), `response` (back to the client), `tunnel`, and
`stream` (how it begins). What is only an attempt's is in its `attempt`; what few requests ask for in their `extensions`.
Connections call it directly: no task, generator or event object on the common path; a timer where something has to wait.
"""

from sidecar.forward.stream import Stream

__all__ = ["Stream"]
