"""Which class of stream the requests of a connection manager are: none pays for what its configuration does not ask for."""

from __future__ import annotations

from sidecar.config.model import Hcm
from sidecar.forward.observed import ObservedStream
from sidecar.forward.stream import Stream


def select_stream_class(config: Hcm) -> type[Stream]:
    in_progress = config.log_interval or config.log_starts or config.log_tunnels
    metered = any(log.metered for log in config.access_logs)
    return ObservedStream if in_progress or metered or config.max_stream_duration else Stream
