"""What the configuration says and cannot do: names of what is not there, rules that are never reached, conflicts.

(World, resources) → findings, in the order of the resources. Pure. A check is a function from an `Examined` to findings,
in the module of the kind that it looks at; `analyse.py` lists them all.
"""
