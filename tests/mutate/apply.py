"""A change put into the modules of this process: the code of its function, or the values of its module."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.mutate.mutants import Mutant, mutated


class NotAppliedError(Exception):
    """Why a mutant cannot be put into a running process."""


def prepared(mutant: Mutant, source: str, *, values: bool = False) -> Callable[[], None]:
    """What puts it in: the changed function, or what the module's values come to (`values`: also where a function was
    changed, which runs only when the module is imported). Raises NotAppliedError."""
    name = mutant.file.removesuffix(".py").replace("/", ".")
    module = sys.modules.get(name)
    if module is None:
        raise NotAppliedError(f"no test imports {name}")
    code = compile(mutated(source, mutant.number), str(module.__file__), "exec", dont_inherit=True)
    if not mutant.qualname or values:
        return _values_put(module, code)
    function = _function(module, mutant.qualname.split("."))
    fresh = _code(code, mutant.qualname.split("."), function.__code__.co_firstlineno)
    if fresh.co_freevars != function.__code__.co_freevars:
        raise NotAppliedError("it refers to other variables of the function around it")
    return lambda: setattr(function, "__code__", fresh)


def _function(module: ModuleType, path: list[str]) -> FunctionType:
    found: Any = module
    for name in path:
        found = vars(found).get(name)
    for attribute in ("fget", "func", "__func__", "__wrapped__"):
        found = getattr(found, attribute, None) or found
    if not isinstance(found, FunctionType):
        raise NotAppliedError(f"{'.'.join(path)} is no function of Python's")
    return found


def _code(code: CodeType, path: list[str], line: int) -> CodeType:
    for at, name in enumerate(path):
        inner = [each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name]
        if at == len(path) - 1:
            inner = [each for each in inner if each.co_firstlineno == line]
        if not inner:
            raise NotAppliedError(f"{'.'.join(path)} is another of that name")
        code = inner[0]
    return code


def _values_put(module: ModuleType, code: CodeType) -> Callable[[], None]:
    """Puts what differs at the module's level, also where other modules have imported it from there."""
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

    def put() -> None:
        for each in list(sys.modules.values()):
            names = getattr(each, "__dict__", {})
            for name, (old, new) in changed.items():
                if names.get(name) is old:
                    names[name] = new

    return put


def _differs(old: Any, new: Any) -> bool:
    if type(old).__module__ == "re":
        return bool(repr(old) != repr(new))
    return type(old).__eq__ is not object.__eq__ and bool(old != new)
