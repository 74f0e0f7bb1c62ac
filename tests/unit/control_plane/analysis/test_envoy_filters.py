"""EnvoyFilters whose effect depends on their order."""

from tests.unit.control_plane.analysis.support import analysed, codes, document

PATCH = (
    "configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: %s, value: {name: "
    "envoy.filters.http.cors, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}}}]"
)


def test_a_place_beside_another_filter() -> None:
    (found,) = analysed(document("EnvoyFilter", "a", f"{{{PATCH % 'INSERT_BEFORE'}}}"))
    assert (found.code.number, found.field) == ("IST0151", "spec.configPatches[0].patch.operation")
    assert codes(document("EnvoyFilter", "a", f"{{priority: 5, {PATCH % 'INSERT_BEFORE'}}}")) == []
    assert codes(document("EnvoyFilter", "a", f"{{{PATCH % 'INSERT_FIRST'}}}")) == []
