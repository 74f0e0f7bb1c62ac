"""The part of CEL that filters of access logs and tags of metrics are written in: text → a tree → a function. What is not
in it is refused by name, before it reaches a proxy.

https://github.com/google/cel-spec/blob/master/doc/langdef.md
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
"""
