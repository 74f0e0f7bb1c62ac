"""`python -m sidecar.config`: the configuration fields that are supported, as Markdown."""

from __future__ import annotations

from sidecar.config.table import markdown

print("\n".join(markdown()))
