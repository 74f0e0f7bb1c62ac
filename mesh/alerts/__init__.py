"""Prometheus' alerting without Prometheus: its rule files (`rules`), their evaluation over samples in memory (`engine`),
its templates (`template`), and Alertmanager's webhook (`webhook`)."""
