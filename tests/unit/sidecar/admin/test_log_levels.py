from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sidecar.admin import log_levels
from sidecar.admin.views import QueryError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Levels as they were before the test."""
    names = [name for name, _ in log_levels.levels()]
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    before = [(logger, logger.level) for logger in loggers]
    yield
    for logger, level in before:
        logger.setLevel(level)


def level_of(name: str) -> str:
    return dict(log_levels.levels())[name]


def test_one_logger() -> None:
    logging.getLogger("mesh.test.one")
    log_levels.change({"mesh.test.one": "debug"})
    assert level_of("mesh.test.one") == "debug"


def test_several_loggers() -> None:
    logging.getLogger("mesh.test.one")
    logging.getLogger("mesh.test.two")
    log_levels.change({"paths": "mesh.test.one:trace,mesh.test.two:off"})
    assert (level_of("mesh.test.one"), level_of("mesh.test.two")) == ("trace", "off")


def test_all_loggers() -> None:
    logging.getLogger("mesh.test.one").setLevel("ERROR")
    log_levels.change({"level": "info"})
    assert set(dict(log_levels.levels()).values()) == {"info"}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"level": "loud"}, "invalid log level 'loud'"),
        ({"mesh.test.nobody": "info"}, "unknown logger name: mesh.test.nobody"),
        ({"paths": "root"}, "expected NAME:LEVEL"),
        ({"paths": "root:debug,mesh.test.nobody:debug"}, "unknown logger name"),
    ],
)
def test_nothing_changes_unless_all_is_right(query: dict[str, str], reason: str) -> None:
    before = dict(log_levels.levels())
    with pytest.raises(QueryError, match=reason):
        log_levels.change(query)
    assert dict(log_levels.levels()) == before
