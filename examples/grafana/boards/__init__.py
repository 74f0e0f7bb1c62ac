"""The Grafana boards as typed Python: each module gives one board, `python -m examples.grafana.boards` writes them all.

A panel is the answer to a question, which is its description; docs/boards.md lists them. The JSON in
`examples/grafana/dashboards` is what Grafana provisions, and a test keeps it in step with this package.
"""
