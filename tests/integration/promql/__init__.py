"""Our PromQL beside a real Prometheus, on the same samples."""
