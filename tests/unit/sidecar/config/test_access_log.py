"""Access logs: where to, and in which format."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import (
    AccessLog,
    Hcm,
)
from tests.unit.sidecar.config.build import (
    FILE_LOG,
    Data,
    T,
    hcm_of,
    parts,
)


def changed(**hcm: Any) -> Hcm:
    given = parts()
    given.hcm.update(hcm)
    return hcm_of(given)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"@type": FILE_LOG, "path": "/tmp/l"}, AccessLog("/tmp/l")),
        ({"@type": FILE_LOG, "path": "/dev/stdout"}, AccessLog("stdout")),
        ({"@type": FILE_LOG, "path": "/l", "log_format": {"text_format": "a\n"}}, AccessLog("/l", text="a\n")),
        (
            {"@type": FILE_LOG, "path": "/l", "log_format": {"text_format_source": {"inline_string": "%PROTOCOL%"}}},
            AccessLog("/l", text="%PROTOCOL%"),
        ),
        (
            {
                "@type": FILE_LOG,
                "path": "/l",
                "log_format": {"json_format": {"a": "%PROTOCOL%", "b": [1, {"c": None}]}},
            },
            AccessLog("/l", json={"a": "%PROTOCOL%", "b": [1, {"c": None}]}),
        ),
        ({"@type": FILE_LOG, "path": "/l", "format": "a"}, AccessLog("/l", text="a")),
        ({"@type": FILE_LOG, "path": "/l", "json_format": {"a": "b"}}, AccessLog("/l", json={"a": "b"})),
        ({"@type": T + "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"}, AccessLog("stdout")),
        (
            {
                "@type": T + "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
                "log_format": {"text_format": "a"},
            },
            AccessLog("stderr", text="a"),
        ),
    ],
)
def test_access_logs(config: Data, expected: AccessLog) -> None:
    assert changed(access_log=[{"name": "l", "typed_config": config}]).access_logs == (expected,)
