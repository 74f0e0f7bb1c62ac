"""The `mesh` command: receives a command line, talks to the control plane's HTTP API or starts processes, prints.

A file a command group. Modules import what is heavy inside the functions that need it: `mesh --help` has to be instant.
"""
