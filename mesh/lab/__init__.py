"""Guided lessons: a situation, a task, a check that knows whether it was solved, a hint.

`lessons` has them (data, and checks that are pure); `mesh.cli.lab_commands` sets them up, asks for pages and takes them
back. They work on `mesh demo` and on compose: all they need are the control plane and the product page.
"""
