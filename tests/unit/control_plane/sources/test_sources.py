"""What every config store does, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.sources import database
from control_plane.sources.directory import DirectorySource
from control_plane.sources.source import Action, Change, Commit, Selection, Source, SourceError
from control_plane.sources.sqlite import SqliteSource
from mesh.clock import ManualClock
from mesh.istio.resource import Key
from tests.unit.control_plane.samples import gone, key, put, route

Make = Callable[[], Source]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "dir"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Make:
    """Makes a source, always on the same files."""
    if request.param == "sqlite":
        return lambda: SqliteSource(str(tmp_path / "mesh.db"), clock)
    (tmp_path / "config").mkdir()
    return lambda: DirectorySource(tmp_path / "config", clock)


@pytest.fixture
async def source(make: Make) -> AsyncIterator[Source]:
    source = make()
    await source.open()
    yield source
    await source.close()


async def test_a_new_store_is_empty(source: Source) -> None:
    assert source.revision == 0
    assert await source.current() == []
    assert await source.history(Selection(), 10) == []
    assert await source.at(0) == []


async def test_a_batch_is_one_revision(source: Source, clock: ManualClock) -> None:
    commit = await source.apply(put(route("reviews"), route("ratings")))
    assert commit.revision == source.revision == 1
    assert [(event.key.name, event.action) for event in commit.events] == [
        ("reviews", Action.CREATED),
        ("ratings", Action.CREATED),
    ]
    stored = {each.key.name: each for each in await source.current()}
    assert stored["reviews"].document == route("reviews")
    assert stored["reviews"].revision == 1
    assert stored["reviews"].created == clock.wall()


async def test_what_changes_nothing_is_no_revision(source: Source) -> None:
    await source.apply(put(route()))
    assert await source.apply(put(route())) == Commit(1)
    assert source.revision == 1


async def test_only_what_changes_is_an_event(source: Source) -> None:
    await source.apply(put(route("reviews"), route("ratings")))
    commit = await source.apply(put(route("reviews", "v2"), route("ratings")))
    assert [(event.key.name, event.action) for event in commit.events] == [("reviews", Action.CONFIGURED)]


async def test_a_change_keeps_the_age(source: Source, clock: ManualClock) -> None:
    await source.apply(put(route()))
    created = clock.wall()
    clock.advance(10)
    await source.apply(put(route(subset="v2")))
    (stored,) = await source.current()
    assert (stored.created, stored.revision) == (created, 2)


async def test_a_resource_that_comes_again_is_young_unless_its_age_is_given(source: Source, clock: ManualClock) -> None:
    await source.apply(put(route("a"), route("b")))
    first = clock.wall()
    await source.apply(gone(route("a"), route("b")))
    clock.advance(10)
    await source.apply([*put(route("a")), *put(route("b"), created=first)])
    assert {s.key.name: s.created for s in await source.current()} == {"a": first + 10, "b": first}


async def test_delete(source: Source) -> None:
    await source.apply(put(route("reviews"), route("ratings")))
    commit = await source.apply(gone(route("reviews")))
    assert [(event.key.name, event.action, event.document) for event in commit.events] == [
        ("reviews", Action.DELETED, None)
    ]
    assert [stored.key.name for stored in await source.current()] == ["ratings"]


async def test_deleting_what_is_not_there_changes_nothing(source: Source) -> None:
    assert await source.apply(gone(route())) == Commit(0)


async def test_history_is_newest_first_and_can_be_narrowed(source: Source) -> None:
    await source.apply(put(route("reviews"), route("ratings")))
    await source.apply(put(route("reviews", "v2")))
    await source.apply(gone(route("reviews")))
    history = await source.history(Selection("VirtualService", "default", "reviews"), 10)
    assert [(event.revision, event.action) for event in history] == [
        (3, Action.DELETED),
        (2, Action.CONFIGURED),
        (1, Action.CREATED),
    ]
    assert [event.document for event in history] == [None, route("reviews", "v2"), route("reviews")]
    assert [event.revision for event in await source.history(Selection(), 2)] == [3, 2]
    assert [event.key.name for event in await source.history(Selection(), 10, since=1)] == ["reviews", "reviews"]
    assert await source.history(Selection("Gateway"), 10) == []


@pytest.mark.fault(11)
async def test_changes_are_oldest_first_and_come_in_pages(source: Source) -> None:
    await source.apply(put(route("a"), route("b"), route("c")))
    await source.apply(put(route("d")))
    first = await source.changes(0, 2)
    assert [e.key.name for e in first] == ["a", "b"]
    assert [e.key.name for e in await source.changes(0, 2, after=first[-1].id)] == ["c", "d"]
    assert [e.key.name for e in await source.changes(1, 10)] == ["d"]
    assert await source.changes(2, 10) == []


async def test_the_past_can_be_asked_for(source: Source) -> None:
    await source.apply(put(route("reviews"), route("ratings")))
    await source.apply(put(route("reviews", "v2")))
    await source.apply(gone(route("ratings")))
    assert [stored.document for stored in await source.at(1)] == [route("ratings"), route("reviews")]
    assert [stored.document for stored in await source.at(2)] == [route("ratings"), route("reviews", "v2")]
    assert [stored.document for stored in await source.at(3)] == [route("reviews", "v2")]


async def test_listeners_hear_every_commit_that_changes_something(source: Source) -> None:
    heard: list[int] = []
    source.listen(lambda commit: heard.append(commit.revision))
    await source.apply(put(route()))
    await source.apply(put(route()))
    await source.apply(gone(route()))
    assert heard == [1, 2]


async def test_everything_is_there_after_a_restart(make: Make, clock: ManualClock) -> None:
    before = make()
    await before.open()
    await before.apply(put(route("reviews"), route("ratings")))
    clock.advance(5)
    await before.apply(put(route("reviews", "v2")))
    await before.save_registrations({"a": {"x": 1}, "b": {"y": 2}}, [])
    await before.save_registrations({"a": {"x": 3}}, ["b", "never"])
    stored, history = await before.current(), await before.history(Selection(), 10)
    await before.close()

    after = make()
    await after.open()
    assert after.revision == 2
    assert await after.current() == stored
    assert [(e.revision, e.key, e.document) for e in await after.history(Selection(), 10)] == [
        (e.revision, e.key, e.document) for e in history
    ]
    assert await after.registrations() == {"a": {"x": 3}}
    await after.close()


async def test_a_second_control_plane_is_refused(make: Make, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    other = make()
    with pytest.raises(SourceError, match="in use by another control plane"):
        await other.open()
    await source.apply(put(route()))


async def test_batches_at_the_same_time_come_one_after_the_other(source: Source) -> None:
    heard: list[int] = []
    source.listen(lambda commit: heard.append(commit.revision))
    commits = await asyncio.gather(*(source.apply(put(route(f"r{n}"))) for n in range(10)))
    assert sorted(commit.revision for commit in commits) == heard == list(range(1, 11))


@pytest.mark.fault(15)
async def test_a_client_that_goes_away_before_the_commit_leaves_none(source: Source) -> None:
    heard: list[int] = []
    source.listen(lambda commit: heard.append(commit.revision))
    (one,) = put(route())
    # So many that they are not there yet when the client is gone.
    many = [replace(one, key=one.key._replace(name=f"r{number}")) for number in range(5_000)]
    caller = asyncio.get_running_loop().create_task(source.apply(many))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await source.apply(put(route("other")))  # waits for its turn
    assert [stored.key.name for stored in await source.current()] == ["other"]
    assert heard == [1]


@pytest.mark.fault(14)
async def test_what_an_apply_costs_grows_with_what_it_changes(source: Source) -> None:
    """Counted in look-ups of keys and statements, not in time."""

    def counted(number: int) -> tuple[list[Change], list[int]]:
        counts = [0]

        class CountedKey(Key):
            __slots__ = ()

            def __hash__(self) -> int:
                counts[0] += 1
                return hash(tuple(self))

            __eq__ = Key.__eq__

        changes = put(*(route(f"r{n}") for n in range(number)))
        return [replace(change, key=CountedKey(*change.key)) for change in changes], counts

    small, small_counts = counted(50)
    await source.apply(small)
    large, large_counts = counted(200)
    await source.apply(large)
    assert 0 < large_counts[0] < 6 * small_counts[0]


async def test_names_that_look_like_code_are_names(source: Source) -> None:
    odd = Key("VirtualService", "default", "x'); DROP TABLE resources; --")
    assert await source.apply([Change(odd, None)]) == Commit(0)
    assert await source.history(Selection(name=odd.name), 10) == []
    await source.apply(put(route()))
    assert [stored.key for stored in await source.current()] == [key(route())]
