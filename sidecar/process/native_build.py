"""Compiles the data plane with mypyc: `python -m sidecar.process.native_build`, or `make native` (see `native`).

What is compiled is a copy of the sources, in a temporary folder; only the extension modules are kept.
"""

from __future__ import annotations

import ast
import importlib.machinery
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from sidecar.process.native import MANIFEST, MODULES, PACKAGES, ROOT, SWITCH, digest, folder, made_from

GROUPS: Final = ("sidecar/telemetry/http2_stats.py", "sidecar/telemetry/stats.py")
_SLOTS_OF_A_DATACLASS: Final = re.compile(r"(, )?slots=True(?(1)|(, )?)")


def without_slots(source: str) -> str:
    """The source without `__slots__` and `slots=True`: a compiled class has its attributes' places anyway, and refuses to
    be told them. Lines keep their numbers, for tracebacks."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                lines[decorator.lineno - 1] = _SLOTS_OF_A_DATACLASS.sub("", lines[decorator.lineno - 1])
            for statement in filter(_says_slots, node.body):
                last = statement.end_lineno or statement.lineno
                lines[statement.lineno - 1 : last] = [
                    " " * statement.col_offset + "pass\n",
                    *["\n"] * (last - statement.lineno),
                ]
    return "".join(lines)


def with_notes(source: str) -> str:
    """The source of statistics' groups without their decorators, and with their annotations as data: the registry reads
    those, and a compiled class has none."""
    notes: dict[str, dict[str, str]] = {}
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                lines[decorator.lineno - 1] = "\n"
            notes[node.name] = {
                statement.target.id: ast.unparse(statement.annotation)
                for statement in node.body
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
            }
    return (
        f"{''.join(lines)}\nfrom sidecar.telemetry.registry import COMPILED_NOTES\nCOMPILED_NOTES.update({notes!r})\n"
    )


def _says_slots(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "__slots__" for target in statement.targets
    )


# A C file a module, compiled side by side: one file of all of them keeps one processor busy for two minutes. Symbols are
# hidden, so that calls between the files are direct.
_SETUP = """
import json, os, types
from concurrent.futures import ThreadPoolExecutor
from mypyc.build import mypycify
from setuptools import setup
from setuptools.command.build_ext import build_ext

def compile_side_by_side(self, sources, output_dir=None, macros=None, include_dirs=None, debug=False,
                         extra_preargs=None, extra_postargs=None, depends=None):
    macros, objects, extra, options, build = self._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs)
    arguments = self._get_cc_args(options, debug, extra_preargs)
    largest_first = sorted(build, key=lambda made: -os.path.getsize(build[made][0]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda made: self._compile(made, *build[made], arguments, extra, options), largest_first))
    return objects

class BuildExt(build_ext):
    def build_extensions(self):
        self.compiler.compile = types.MethodType(compile_side_by_side, self.compiler)
        super().build_extensions()

files = json.load(open("files.json"))
setup(
    name="native",
    packages=[],
    py_modules=[],
    cmdclass={"build_ext": BuildExt},
    ext_modules=mypycify(["--config-file=mypy.ini", *files], opt_level="2", debug_level="0", multi_file=True),
)
"""

# The types were checked with `mypy --strict` already; the compiler only has to find them.
_MYPY = """
[mypy]
python_version = {version}
follow_untyped_imports = False
[mypy-envoy.*,xds.*,udpa.*,validate.*,google.*,grpc.*,httptools.*,re2.*,uvloop.*,yaml.*,xxhash.*,pybreaker.*,opentelemetry.*]
ignore_missing_imports = True
follow_imports = skip
"""


def compile_into(place: Path) -> None:
    """Compiles MODULES into the folder, replacing what is there. Raises CalledProcessError with what the compiler said."""
    with tempfile.TemporaryDirectory(prefix="asyncmesh-native-") as name:
        work = Path(name)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
        origin = digest(work)  # an edit while this takes its time is not in it
        files = [module.replace(".", "/") + ".py" for module in MODULES]
        for file in files:
            source = (work / file).read_text(encoding="utf-8")
            if file in GROUPS:
                source = with_notes(source)
            (work / file).write_text(without_slots(source), encoding="utf-8")
        (work / "setup.py").write_text(_SETUP, encoding="utf-8")
        (work / "files.json").write_text(json.dumps(files), encoding="utf-8")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        (work / "mypy.ini").write_text(_MYPY.format(version=version), encoding="utf-8")
        subprocess.run(
            [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "out"],
            cwd=work,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, SWITCH: "off", "CFLAGS": f"{os.environ.get('CFLAGS', '')} -fvisibility=hidden"},
        )
        _install(work / "out", place, origin)


def _install(built: Path, place: Path, origin: str) -> None:
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    modules = {}
    for file in sorted(built.rglob(f"*{suffix}")):
        module = ".".join(file.relative_to(built).with_name(file.name.removesuffix(suffix)).parts)
        modules[module] = f"{module}{suffix}"
        shutil.copy2(file, place / modules[module])
    text = json.dumps({"digest": origin, "modules": modules}, indent=1)
    (place / MANIFEST).write_text(text, encoding="utf-8")


def main() -> int:
    """Compiles, unless it is done already; says why when it cannot be done here."""
    place = folder()
    if place is None:
        print(f"{SWITCH}=off: nothing to do")
        return 0
    if made_from(place, digest()) is not None:
        print(f"the data plane is compiled ({place})")
        return 0
    print("compiling the data plane (about a minute) …", flush=True)
    try:
        compile_into(place)
    except subprocess.CalledProcessError as error:
        print("\n".join(str(error.stdout).splitlines()[-20:]))
        print("the data plane could not be compiled (is there a C compiler?): it runs as Python, only slower")
        return 1
    print(f"compiled into {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
