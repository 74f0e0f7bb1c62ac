"""Tells a webhook of alerts, in the words of Alertmanager's webhook receiver, version 4
(https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from mesh.alerts.engine import Alert, State
from mesh.errors import MeshError

TIMEOUT_SECONDS: Final = 5.0
_NEVER: Final = "0001-01-01T00:00:00Z"  # Go's zero time, which receivers know
_opener = build_opener(ProxyHandler({}))


class WebhookError(MeshError):
    """A webhook that cannot be told."""


def checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WebhookError(f"{url}: expected http://HOST… or https://HOST…")
    return url


def payload(alerts: Sequence[Alert], source: str) -> dict[str, Any]:
    firing = any(alert.state is State.FIRING for alert in alerts)
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "mesh",
        "groupLabels": {},
        "commonLabels": _common([{"alertname": alert.name, **alert.labels} for alert in alerts]),
        "commonAnnotations": _common([alert.annotations for alert in alerts]),
        "externalURL": source,
        "alerts": [_alert(alert, source) for alert in alerts],
    }


def post(url: str, alerts: Sequence[Alert], source: str) -> None:
    """Raises WebhookError when the receiver does not take it."""
    body = json.dumps(payload(alerts, source)).encode()
    request = Request(url, body, {"content-type": "application/json", "user-agent": "mesh-alerts"})
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except URLError as error:  # an HTTPError is one
        raise WebhookError(f"the webhook {url} was not told: {error}") from error
    except OSError as error:
        raise WebhookError(f"the webhook {url} was not told: {error}") from error


def _alert(alert: Alert, source: str) -> dict[str, Any]:
    return {
        "status": str(alert.state),
        "labels": {"alertname": alert.name, **alert.labels},
        "annotations": alert.annotations,
        "startsAt": _time(alert.since),
        "endsAt": _time(alert.ended) if alert.ended else _NEVER,
        "generatorURL": source,
        "fingerprint": _fingerprint(alert),
    }


def _fingerprint(alert: Alert) -> str:
    """The same for one alert in every process."""
    identity = json.dumps([alert.name, sorted(alert.labels.items())])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _common(found: Sequence[dict[str, str]]) -> dict[str, str]:
    return dict(set.intersection(*(set(each.items()) for each in found))) if found else {}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
