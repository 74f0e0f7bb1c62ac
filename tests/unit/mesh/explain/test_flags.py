"""Flags and details in plain English."""

from __future__ import annotations

from mesh.explain.flags import FLAGS, details_in_words, flags_in_words
from sidecar.http.response_flags import Flag


def test_every_flag_that_a_proxy_of_ours_sets_has_words() -> None:
    assert {flag.name for flag in Flag} == set(FLAGS)


def test_of_a_log_line() -> None:
    assert flags_in_words("-") == [] and flags_in_words("") == []
    assert flags_in_words("URX,UF") == [f"URX: {FLAGS['URX']}", "UF: no connection to the host"]
    assert flags_in_words("XX") == ["XX: a flag that is not known here"]


def test_details() -> None:
    assert details_in_words("via_upstream") == "the host's own answer"
    text = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}"
    assert details_in_words(text) == "remote connection failure: delayed connect error: 111, before the answer"
    assert details_in_words("something_else") == "something else"
