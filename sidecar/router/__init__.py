"""Which route a request takes, and what that route makes of it.

Receives an exchange whose head is complete, returns the first matching route; rewriting, header operations and the retry
decision live here too. Pure: nothing here does I/O. Next stations: filters, then balancer.
"""
