"""Normal paths."""

from __future__ import annotations

import pytest

from sidecar.router.path import normalize


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/a/../b/./c", b"/b/c"),
        (b"/a/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/..", b"/"),
        (b"/%2e%2e/a", b"/a"),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/a?x=/../y", b"/a?x=/../y"),
        (b"/%00", None),
    ],
)
def test_normal_paths(path: bytes, normal: bytes | None) -> None:
    assert normalize(path, dots=True, slashes=False) == normal


def test_slashes_merge() -> None:
    assert normalize(b"//a///b?c=//", dots=False, slashes=True) == b"/a/b?c=//"


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/a%7eb", b"/a~b"),
        (b"/a%41b", b"/aAb"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%ffb", b"/a%FFb"),
        (b"/a%fFb", b"/a%fFb"),  # Envoy makes them upper case only when no letter is
        (b"/a\\b", b"/a/b"),
        (b"/a\\..\\b", b"/b"),
        (b"/a//./b", b"/a//b"),
        (b"/a/b/..", b"/a/"),
        (b"/.a/b.", b"/.a/b."),
        (b"/a%zz", b"/a%zz"),
        (b"/a", b"/a"),
        (b"/", b"/"),
    ],
)
def test_escapes_backslashes_and_dots(path: bytes, normal: bytes) -> None:
    assert normalize(path, dots=True, slashes=False) == normal


def test_each_of_both_normalisations_by_itself() -> None:
    path = b"//a/../b%41?//"
    assert normalize(path, dots=False, slashes=False) == path
    assert normalize(path, dots=True, slashes=False) == b"//bA?//"
    assert normalize(path, dots=False, slashes=True) == b"/a/../b%41?//"
    assert normalize(path, dots=True, slashes=True) == b"/bA?//"
