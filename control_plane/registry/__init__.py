"""Services and the workloads that serve them.

Receives proxies that connect and go (`Registry.connected`, `disconnected`), and the declared services. Keeps workloads
through lost streams and through restarts of ours (`lifecycle`, pure; `registry` gives it time and a disk), and makes the
services and endpoints of a World (`services`, pure). Next station: `store`, which puts them into a `World`.
"""
