import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.istio.formats import PLAIN, WITH_HEADER, format_problem

GOOD = [*(f"%{name}%" for name in PLAIN), *(f"a %{name}(x-id?:path):10% b" for name in WITH_HEADER), "", "100%%"]


@pytest.mark.parametrize("value", [*GOOD, "%START_TIME(%Y/%m/%d)%", "%%%DURATION%%%"])
def test_what_every_proxy_knows_is_accepted(value: str) -> None:
    assert format_problem(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("50%", "a % must be written %%"),
        ("%duration%", "a % must be written %%"),
        ("%DURATION", "a % must be written %%"),
        ("%DURATIN%", '%DURATIN% is no command; did you mean "DURATION"?'),
        ("%FOO%", "%FOO% is no command"),
        ("%REQ%", "%REQ(…)% needs the name of a header"),
        ("%REQ()%", "%REQ(…)% needs the name of a header"),
        ("%REQ(a?b?c)%", "%REQ(…)% needs the name of a header"),
        ("%REQ(a b)%", "%REQ(…)% needs the name of a header"),
        ("%RESP(a):99999999999%", "%RESP(…):99999999999% is too long"),
        ("%DURATION(a)%", "does not take any parameters"),
        ("%DURATION:3%", "does not take any parameters"),
        ("%START_TIME:3%", "does not take any parameters"),
        ("%DYNAMIC_METADATA(a:b)%", "%DYNAMIC_METADATA% is known to Istio, not implemented yet"),
    ],
)
def test_what_a_proxy_would_reject_is_refused(value: str, expected: str) -> None:
    assert expected in format_problem(value)


@given(st.lists(st.sampled_from([*GOOD, "%", "%%", "(", ")", "x", "REQ(", ":1"]), max_size=8).map("".join))
def test_any_text_gets_an_answer(value: str) -> None:
    problem = format_problem(value)
    assert isinstance(problem, str)
    if "%" not in value:
        assert problem == ""
