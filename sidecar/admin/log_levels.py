"""/logging: the levels of Python's loggers, by Envoy's names for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from sidecar.admin.views import QueryError
from sidecar.process.settings import LOG_LEVELS


def levels() -> Iterator[tuple[str, str]]:
    """Every logger with its level in effect; the root is `root`."""
    names = sorted(
        name for name, found in logging.Logger.manager.loggerDict.items() if isinstance(found, logging.Logger)
    )
    for name in ("root", *names):
        yield name, _word(_logger(name).getEffectiveLevel())


def change(query: Mapping[str, str]) -> None:
    """`level=debug` for all, `paths=a:debug,b:info` or `a=debug` for some. Nothing changes unless all of it is right."""
    changes: list[tuple[str, int]] = []
    for key, value in query.items():
        if key == "level":
            changes += [(name, _level(value)) for name, _ in levels()]
        elif key == "paths":
            for pair in value.split(","):
                name, colon, level = pair.rpartition(":")
                if not colon:
                    raise QueryError(f"{pair!r}: expected NAME:LEVEL")
                changes.append((name, _level(level)))
        else:
            changes.append((key, _level(value)))
    known = {name for name, _ in levels()}
    for name, _ in changes:
        if name not in known:
            raise QueryError(f"unknown logger name: {name}")
    for name, number in changes:
        _logger(name).setLevel(number)


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == "root" else name)


def _level(word: str) -> int:
    try:
        return LOG_LEVELS[word]
    except KeyError as error:
        raise QueryError(f"invalid log level {word!r}: expected {', '.join(LOG_LEVELS)}") from error


def _word(level: int) -> str:
    return next((word for word, number in LOG_LEVELS.items() if level <= number), "off")
