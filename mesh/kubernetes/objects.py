"""Kubernetes' objects without a `spec` that matters: the document itself is looked at."""

from __future__ import annotations

from mesh.kubernetes.foreign import Foreign


class NamespaceSpec(Foreign):
    """Its labels are its metadata's."""


class ServiceAccount(Foreign):
    """An identity: its name."""


class ConfigMap(Foreign):
    """Texts by name."""

    data: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it


class Secret(Foreign):
    """That it is there, and of which type: what is in it is never kept."""

    type: str = "Opaque"
