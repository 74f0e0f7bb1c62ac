"""Mutation runs: small changes of the source that some test has to notice (`make mutate`).

`mutants` lists the changes of a file and makes each of them, `apply` puts one into the modules of a running process, `run`
is the pytest plugin that forks a child for each, `report` writes `docs/mutation.md`. Imports and collection are paid once.
"""
