"""What becomes of a folder's files when resources change through the API."""

from __future__ import annotations

import json

import pytest
import yaml

from control_plane.sources.edit import edit, own_file
from control_plane.sources.source import Change, RefusedError
from mesh.istio.load import load, load_documents
from mesh.istio.resource import Key
from tests.unit.control_plane.samples import gone, key, put, route, text


def edited(changes: list, files: dict[str, str]) -> dict[str, str | None]:  # type: ignore[type-arg]
    places = {r.key: name for name, content in files.items() for r in load(content, name)}
    return edit(changes, places, files.get)


def documents(content: str | None) -> list[object]:
    assert content is not None
    return [document for document in yaml.safe_load_all(content) if document]


def test_a_new_resource_gets_a_file_of_its_own() -> None:
    texts = edited(put(route("a")), {"other.yaml": text(route("b"))})
    assert list(texts) == ["virtualservice.default.a.yaml"]
    assert documents(texts["virtualservice.default.a.yaml"]) == [route("a")]


def test_no_two_resources_have_the_same_file() -> None:
    assert own_file(Key("Gateway", "a", "b-c")) != own_file(Key("Gateway", "a-b", "c"))
    assert own_file(Key("Gateway", "a", "b.c")) == "gateway.a.b.c.yaml"


def test_a_change_leaves_the_rest_of_its_file_alone() -> None:
    content = f"# all our routes\n---\n# about a\n{text(route('a'))}--- # about b\n{text(route('b'))}---\n# the end\n"
    texts = edited(put(route("b", "v2")), {"routes.yaml": content})
    assert list(texts) == ["routes.yaml"]
    changed = texts["routes.yaml"]
    assert documents(changed) == [route("a"), route("b", "v2")]
    assert changed is not None
    assert changed.startswith(f"# all our routes\n---\n# about a\n{text(route('a'))}")
    assert changed.endswith("---\n# the end\n")


def test_a_deleted_resource_leaves_its_file_and_the_last_one_takes_it_along() -> None:
    both = {"routes.yaml": text(route("a"), route("b"))}
    assert documents(edited(gone(route("a")), both)["routes.yaml"]) == [route("b")]
    assert edited(gone(route("a"), route("b")), both) == {"routes.yaml": None}


def test_several_resources_of_a_list() -> None:
    whole = {"apiVersion": "v1", "kind": "List", "items": [route("a"), route("b"), route("c")]}
    texts = edited([*put(route("a", "v2")), *gone(route("b"))], {"list.yaml": yaml.safe_dump(whole)})
    assert documents(texts["list.yaml"]) == [route("a", "v2"), route("c")]


def test_a_json_file_stays_json() -> None:
    texts = edited(put(route("a", "v2")), {"a.json": json.dumps(route("a"))})
    assert json.loads(texts["a.json"] or "") == route("a", "v2")
    whole = {"apiVersion": "v1", "kind": "List", "items": [route("a"), route("b")]}
    texts = edited(put(route("a", "v2")), {"a.json": json.dumps(whole)})
    assert json.loads(texts["a.json"] or "")["items"] == [route("a", "v2"), route("b")]
    assert edited(gone(route("a")), {"a.json": json.dumps(route("a"))}) == {"a.json": None}


def test_text_that_looks_like_a_separator_is_none() -> None:
    annotated = route("a")
    annotated["metadata"]["annotations"] = {"note": "one\n---\ntwo\n---x"}
    texts = edited(put(route("b", "v2")), {"routes.yaml": text(annotated, route("b"))})
    assert documents(texts["routes.yaml"]) == [annotated, route("b", "v2")]


def test_a_document_on_the_line_of_its_separator() -> None:
    content = f"--- {json.dumps(route('a'))}\n--- {json.dumps(route('b'))}"
    texts = edited(put(route("b", "v2")), {"routes.yaml": content})
    assert documents(texts["routes.yaml"]) == [route("a"), route("b", "v2")]


def test_a_broken_file_is_not_touched() -> None:
    with pytest.raises(RefusedError) as caught:
        edit(put(route("a", "v2"), route("b")), {key(route("a")): "a.yaml"}, {"a.yaml": "kind: [\n"}.get)
    assert caught.value.problems[0].file == "a.yaml"
    assert "mend it first" in caught.value.problems[0].message


def test_a_file_that_is_in_the_way_is_not_touched() -> None:
    with pytest.raises(RefusedError, match="in the way"):
        edit(put(route("a")), {}, {own_file(key(route("a"))): "# mine\n"}.get)


def test_a_string_that_looks_like_a_number_stays_a_string() -> None:
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"host": "reviews", "subsets": [{"name": "v1", "labels": {"version": "1e3"}}]},
    }
    (resource,) = load_documents([document])
    (content,) = edited([Change(resource.key, resource.document, None, resource)], {}).values()
    (read,) = load(content or "")
    assert read.document["spec"]["subsets"][0]["labels"]["version"] == "1e3"
