from __future__ import annotations

from mesh.istio.kinds import KINDS
from mesh.istio.reference import messages
from mesh.istio.refused import NARROWED, NO_EFFECT, REFUSED, refused_field, refused_values

BY_NAME = {message.__name__: message for kind in KINDS.values() for message in messages(kind.model)}


def test_the_tables_name_messages_that_are_there() -> None:
    for name in (*REFUSED, *NARROWED, *NO_EFFECT):
        kind, _, message = name.rpartition("/")
        assert message in BY_NAME and kind in (*KINDS, ""), name


def test_a_refused_field_is_not_implemented_and_the_others_are() -> None:
    for name, rows in REFUSED.items():
        fields = set(BY_NAME[name].field_names())
        for row in rows:
            field, is_value, _ = row.partition("=")
            assert (field in fields) is bool(is_value), row
    for table in (NARROWED, NO_EFFECT):
        for name, notes in table.items():
            fields = set(BY_NAME[name.rpartition("/")[2]].field_names())
            assert {note.partition("=")[0] for note in notes} <= fields


def test_lookups() -> None:
    assert refused_field("FaultAbort", "http2Error") == "known to Istio, not implemented yet"
    assert refused_field("FaultAbort", "http2Erro") == ""
    assert refused_values("ClientTLSSettings", "mode") == ("SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
    assert refused_values("HTTPRoute", "mode") == ()
