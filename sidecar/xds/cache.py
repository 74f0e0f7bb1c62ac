"""The last accepted configuration on disk, so that a sidecar can start while no control plane answers.

A file is a header line with a checksum, then one delta discovery response per type, each with its length in front. It is
replaced by a rename, so that a reader sees the old or the new one, never half of one; one that is damaged, or of another
version of the format, counts as not there.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh.errors import MeshError

_MAGIC: Final = b"mesh-xds-1\n"
_LENGTH: Final = struct.Struct(">I")
_DIGEST: Final = 16


class CacheError(MeshError):
    """The file is there and cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One accepted resource: its version, and the Any that it came in."""

    version: str
    type_url: str
    value: bytes


Snapshot = Mapping[str, Mapping[str, Stored]]  # by type URL, by name


def save(path: Path, snapshot: Snapshot) -> None:
    """Replaces the file. OSError when that cannot be done."""
    from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse

    parts: list[bytes] = []
    for type_url, resources in snapshot.items():
        message = DeltaDiscoveryResponse(type_url=type_url)
        for name, stored in resources.items():
            resource = message.resources.add(name=name, version=stored.version)
            resource.resource.type_url = stored.type_url
            resource.resource.value = stored.value
        data = message.SerializeToString()
        parts += (_LENGTH.pack(len(data)), data)
    body = b"".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _digest(body) + body)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def load(path: Path) -> dict[str, dict[str, Stored]]:
    """What was saved, {} when nothing was; CacheError for a file that cannot be used."""
    from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
    from google.protobuf.message import DecodeError

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}") from error
    body = memoryview(data)[len(_MAGIC) + _DIGEST :]
    if not data.startswith(_MAGIC) or data[len(_MAGIC) : len(_MAGIC) + _DIGEST] != _digest(body):
        raise CacheError(f"{path}: damaged, or written by another version")
    snapshot: dict[str, dict[str, Stored]] = {}
    while body:
        (length,) = _LENGTH.unpack(body[: _LENGTH.size])
        try:
            message = DeltaDiscoveryResponse.FromString(bytes(body[_LENGTH.size : _LENGTH.size + length]))
        except DecodeError as error:
            raise CacheError(f"{path}: {error}") from error
        snapshot[message.type_url] = {
            each.name: Stored(each.version, each.resource.type_url, each.resource.value) for each in message.resources
        }
        body = body[_LENGTH.size + length :]
    return snapshot


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()
