"""Files, some of which are wrong."""

from control_plane.analysis.texts import Text, analyse_texts
from tests.unit.control_plane.analysis.support import REVIEWS, TO_REVIEWS, route


def test_what_is_wrong_is_found_and_the_rest_is_looked_at() -> None:
    broken = route(f"{{{TO_REVIEWS}, retrys: {{attempts: 3}}}}", name="broken") + "---\n" + REVIEWS
    rules = route("{route: [{destination: {host: nobody}}]}")
    findings, read = analyse_texts([Text("broken.yaml", broken), Text("rules.yaml", rules)])
    assert [str(each) for each in findings] == [
        'Error [IST0101] (VirtualService default/rules rules.yaml:4) Referenced host not found: "nobody"',
        "Error [IST0106] (broken.yaml:4) Schema validation error: spec.http[0].retrys: unknown field; did you mean "
        '"retries"?',
    ]
    assert [resource.key.name for resource in read.resources] == ["reviews", "rules"]


def test_a_text_that_is_no_yaml() -> None:
    findings, _ = analyse_texts([Text("tab.yaml", "kind: Service\n\tname: a\n")])
    assert [(each.code.number, each.file, each.line) for each in findings] == [("IST0106", "tab.yaml", 2)]


def test_kinds_of_others_are_passed_over() -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {}\n"
    findings, read = analyse_texts([Text("all.yaml", f"{REVIEWS}---\n{job}")])
    assert findings == []
    assert [(note.file, note.line) for note in read.skipped] == [("all.yaml", 6)]


def test_files_with_nothing_in_them_are_named() -> None:
    findings, read = analyse_texts([Text("all.yaml", REVIEWS), Text("empty.yaml", "---\n# nothing\n")])
    assert findings == []
    assert [str(note) for note in read.skipped] == [
        "empty.yaml: there is no resource in it: nothing but blanks and comments"
    ]


def test_a_resource_that_is_there_twice() -> None:
    findings, _ = analyse_texts([Text("a.yaml", REVIEWS), Text("b.yaml", REVIEWS)])
    (found,) = findings
    assert found.message.endswith("Service/default/reviews is there twice, first in a.yaml:1")
