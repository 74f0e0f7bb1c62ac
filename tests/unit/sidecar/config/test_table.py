"""The table of what is supported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.bootstrap import load
from sidecar.config.no_effect import REASONS
from sidecar.config.table import documents, markdown, supported


@pytest.mark.parametrize("text", documents())
def test_the_example_with_everything_is_good(text: str) -> None:
    assert load("", text)


def test_fields_that_are_asked_for_are_in_it() -> None:
    found = supported()
    route = found["envoy.config.route.v3.RouteAction"].fields
    assert {"cluster", "weighted_clusters", "timeout", "retry_policy", "prefix_rewrite"} <= route.keys()
    assert "cluster_specifier_plugin" not in route
    assert found["envoy.config.route.v3.HeaderMatcher"].fields.keys() >= {"exact_match", "string_match", "range_match"}


def test_restricted_fields_say_to_what() -> None:
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    assert supported()[manager].fields["codec_type"] == "only AUTO, HTTP1, HTTP2"


def test_what_is_refused_by_name_is_not_supported() -> None:
    assert "transport_socket_matches" not in supported()["envoy.config.cluster.v3.Cluster"].fields


def test_no_field_is_both_read_and_without_effect() -> None:
    found = supported()
    both = {name: found[name].fields.keys() & reasons.keys() for name, reasons in REASONS.items() if name in found}
    assert {name: fields for name, fields in both.items() if fields} == {}


def test_every_type_with_a_field_without_effect_is_read() -> None:
    assert REASONS.keys() <= supported().keys()


def test_the_table_is_markdown() -> None:
    lines = list(markdown())
    assert lines[0] == "# Supported configuration"
    assert "## envoy.config.listener.v3.Listener" in lines
    assert "| `enable_reuse_port` | no effect: one event loop accepts everything |" in lines


def test_it_is_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sidecar.config"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("# Supported configuration\n")
