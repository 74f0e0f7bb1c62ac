"""Traffic experiments: what they ask, how evidence is weighed, and what is decided.

Receives counts of two versions that ran side by side (`data`); gives intervals, verdicts and what is still missing
(`verdict`). `evidence` has the statistics, valid at every look; `planning` says beforehand what an experiment will take,
`simulate` tries the rule on made-up traffic. All of it is pure; docs/experiments.md names method, sources and limits.
"""
