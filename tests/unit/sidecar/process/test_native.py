from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.process import native


def build(place: Path, digest: str) -> None:
    """What a build would leave, of nothing."""
    place.mkdir(exist_ok=True)
    (place / native.MANIFEST).write_text(
        json.dumps({"digest": digest, "modules": {"sidecar.process.timers": "nothing.so"}})
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(native.SWITCH, str(tmp_path / "native"))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return tmp_path / "native"


def test_without_a_build_sources_are_read(place: Path) -> None:
    assert not native.activate()
    assert not native.active()


def test_a_build_of_these_sources_is_used(place: Path) -> None:
    build(place, native.digest())
    assert native.activate()
    assert native.active()
    found = sys.meta_path[0].find_spec("sidecar.process.timers", None)
    assert found is not None
    assert found.origin == str(place / "nothing.so")
    assert sys.meta_path[0].find_spec("sidecar.app", None) is None


def test_a_build_of_other_sources_is_not(place: Path) -> None:
    build(place, "0" * 64)
    assert not native.activate()


def test_what_is_no_manifest_is_no_build(place: Path) -> None:
    place.mkdir()
    (place / native.MANIFEST).write_text("{")
    assert not native.activate()


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.SWITCH, "off")
    assert native.folder() is None
    assert not native.activate()


def test_every_module_is_there_and_every_subclass_of_one_that_is_compiled_is_compiled_too() -> None:
    """An interpreted class cannot inherit from a compiled one: the whole sidecar is imported and looked through."""
    look = """
import pkgutil, importlib, inspect, sidecar
from sidecar.process.native import MODULES
modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages(sidecar.__path__, 'sidecar.')
           if not found.name.endswith('__main__')]
for name in MODULES:
    importlib.import_module(name)
for module in modules:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__.startswith('sidecar') and kind.__module__ not in MODULES:
            bad = [base for base in kind.__mro__[1:] if base.__module__ in MODULES and not inspect.isabstract(base)
                   and not getattr(base, '_is_protocol', False)]
            assert not bad, (kind, bad)
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_compiled_copies_objects_without_their_arguments() -> None:
    """`copy` makes an object first and fills it then: a compiled class wants its arguments at once."""
    copying = re.compile(r"^\s*(from|import) copy\b", re.MULTILINE)
    root = Path(native.__file__).parents[2]
    assert not [name for name in native.MODULES if copying.search((root / f"{name.replace('.', '/')}.py").read_text())]


def test_a_copy_of_the_sources_has_their_digest_until_it_is_edited(tmp_path: Path) -> None:
    for package in native.PACKAGES:
        for source in (native.ROOT / package).rglob("*.py"):
            copy = tmp_path / source.relative_to(native.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    assert native.digest(tmp_path) == native.digest()
    (tmp_path / "sidecar" / "__init__.py").write_text("")
    assert native.digest(tmp_path) != native.digest()
