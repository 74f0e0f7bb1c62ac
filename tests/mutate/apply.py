"""A change put into the modules of this process: the code of its function, or the values of its module."""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.mutate.mutants import Mutant, mutated


class NotAppliedError(Exception):
    """Why a mutant cannot be put into a running process."""


def apply(mutant: Mutant, source: str) -> None:
    """Raises NotAppliedError."""
    name = mutant.file.removesuffix(".py").replace("/", ".")
    module = sys.modules[name]
    code = compile(mutated(source, mutant.number), str(module.__file__), "exec", dont_inherit=True)
    if mutant.qualname:
        function = _function(module, mutant.qualname.split("."))
        try:
            function.__code__ = _code(code, mutant.qualname.split("."))
        except ValueError as error:  # it refers to other variables of the function around it
            raise NotAppliedError(str(error)) from error
    else:
        _replace_values(module, code)


def code_of(module: ModuleType, qualname: str) -> CodeType:
    return _function(module, qualname.split(".")).__code__


def _function(module: ModuleType, path: list[str]) -> FunctionType:
    found: Any = module
    for name in path:
        found = vars(found).get(name)
    for attribute in ("fget", "func", "__func__", "__wrapped__"):
        found = getattr(found, attribute, None) or found
    if not isinstance(found, FunctionType):
        raise NotAppliedError(f"{'.'.join(path)} is no function of Python's")
    return found


def _code(code: CodeType, path: list[str]) -> CodeType:
    for name in path:
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
    return code


def _replace_values(module: ModuleType, code: CodeType) -> None:
    """What differs at the module's level, also where other modules have imported it from there."""
    fresh: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
    exec(code, fresh)
    changed = {
        name: (old, fresh[name])
        for name, old in vars(module).items()
        if name in fresh and not name.startswith("__") and not isinstance(old, FunctionType | type | ModuleType)
        if _differs(old, fresh[name])
    }
    if not changed:
        raise NotAppliedError("no value differs")
    for each in list(sys.modules.values()):
        names = getattr(each, "__dict__", {})
        for name, (old, new) in changed.items():
            if names.get(name) is old:
                names[name] = new


def _differs(old: Any, new: Any) -> bool:
    return bool(repr(old) != repr(new)) if type(old).__module__ == "re" else bool(old != new)
