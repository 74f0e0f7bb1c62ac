"""What nobody wants to hear."""

import pytest

from control_plane.analysis.suppress import Suppression
from mesh.errors import MeshError
from tests.unit.control_plane.analysis.support import analysed, codes, document

NOWHERE = "{host: nobody}"


@pytest.mark.parametrize("value", ["IST0174", "'*'", "'IST0101, IST0174'"])
def test_by_annotation(value: str) -> None:
    assert codes(document("DestinationRule", "a", NOWHERE)) == [("IST0174", "a")]
    assert (
        codes(document("DestinationRule", "a", NOWHERE, annotations=f"{{galley.istio.io/analyze-suppress: {value}}}"))
        == []
    )


def test_an_annotation_for_another_code() -> None:
    other = document("DestinationRule", "a", NOWHERE, annotations="{galley.istio.io/analyze-suppress: IST0101}")
    assert codes(other) == [("IST0174", "a")]


@pytest.mark.parametrize(
    ("text", "hides"),
    [
        ("IST0174=DestinationRule a.default", True),
        ("IST0174=DestinationRule *.default", True),
        ("IST0174=DestinationRule default/a", True),
        ("IST0174=DestinationRule *", True),
        ("IST0174=DestinationRule *.other", False),
        ("IST0101=DestinationRule *", False),
        ("IST0174=VirtualService *", False),
    ],
)
def test_by_option(text: str, hides: bool) -> None:
    (found,) = analysed(document("DestinationRule", "a", NOWHERE))
    assert Suppression.parse(text).hides(found) is hides


def test_another_form() -> None:
    with pytest.raises(MeshError, match='"IST0174" must be CODE=RESOURCE'):
        Suppression.parse("IST0174")
