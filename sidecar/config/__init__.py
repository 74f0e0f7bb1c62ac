"""Protobuf → the immutable configuration that the data plane runs on.

Receives Envoy's messages, from a bootstrap file or over ADS; returns `model` objects, or a ConfigError with everything that
is wrong. A set field that no compiler read is wrong too (`reader`), unless it is one of those that cannot matter here
(`no_effect`). Next station: the data plane, by way of `sidecar.xds`.
"""
