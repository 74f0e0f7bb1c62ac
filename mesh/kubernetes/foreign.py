"""The base of what Kubernetes runs and the mesh only reads: fields that are not ours are left alone."""

from __future__ import annotations

from pydantic import ConfigDict

from mesh.istio.model import Message


class Foreign(Message):
    """A message of which the fields here are read, and all others are somebody else's business."""

    model_config = ConfigDict(extra="ignore")
