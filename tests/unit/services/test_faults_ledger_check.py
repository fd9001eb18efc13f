"""The check_ledger of the fault lab: it sees each kind of wrong, and the proxy does what the schedule says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millmark.ledger.chain import EmbeddedChain, find_profile
from millmark.ledger.errors import ChainUnreachableError, SettingsError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit import Submitter
from tests.faults import factory
from tests.faults.agent import CRASH_POINTS, RELAY
from tests.faults.kill import STEPS, _plan_kills
from tests.faults.ledger_check import LedgerCheck, check_ledger
from tests.faults.runs import run_faults
from tests.faults.soak import fit_slope, judge_growth
from tests.faults.workload import Event, Site, build_events, found_site
from tests.support.rpc import Line
from tests.support.stores import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


def record(site: Site, chain: EmbeddedChain, store: Store, events: list[Event], prefix: str = "") -> None:
    submitter = Submitter(site.connect(chain), Outbox(store), site.signer)
    submitter.submit([(prefix + event.key, site.record(event)) for event in events])
    submitter.drain()


@pytest.fixture
def judged(tmp_path: Path, store: Store) -> tuple[Site, EmbeddedChain, Store, Path]:
    chain = EmbeddedChain()
    return found_site(tmp_path, chain, find_profile("embedded"), 1), chain, store, tmp_path


Judged = tuple[Site, EmbeddedChain, Store, Path]


def check_of(
    judged: Judged, events: list[Event], acknowledged: set[str], failed: set[str] | None = None
) -> LedgerCheck:
    site, chain, store, folder = judged
    return check_ledger(site, site.connect(chain), store, folder, events, acknowledged, failed or set())


def test_what_is_right_passes(judged: Judged) -> None:
    site, chain, store, _ = judged
    events = build_events(8)
    record(site, chain, store, events)
    found = check_of(judged, events, {event.key for event in events})
    assert found.passed
    assert (found.events, found.acknowledged, found.unknown) == (8, 8, 0)


def test_a_chain_that_gives_no_block_once_is_asked_again(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.ledger_check._PAUSE_S", 0)
    site, chain, store, folder = judged
    events = build_events(2)
    record(site, chain, store, events)
    line = Line(chain)
    direct = site.connect(line)
    line.cut("eth_getBlockByNumber", after=True)
    keys = {event.key for event in events}
    assert check_ledger(site, direct, store, folder, events, keys).passed
    monkeypatch.setattr("tests.faults.ledger_check._ASKING_S", -1)
    line.cut("eth_getBlockByNumber", after=True)
    with pytest.raises(ChainUnreachableError):
        check_ledger(site, direct, store, folder, events, keys)


def test_each_wrong_is_counted(judged: Judged) -> None:
    site, chain, store, _ = judged
    events = build_events(8)
    record(site, chain, store, [events[4], events[0], *events[1:3]])  # machine 0 out of order
    record(site, chain, store, [events[1], events[1]], "again-")
    record(site, chain, store, [Event("never sent", 0, 9)])
    acknowledged = {event.key for event in events[:6]}
    found = check_of(judged, events, acknowledged, {events[2].key})
    assert found.lost == 2  # 3 and 5
    assert found.duplicate == 1
    assert found.phantom == 2  # one was failed, one never sent
    assert found.misordered == 1
    assert found.unknown == 2
    assert not found.passed


def test_an_index_that_differs_is_seen(judged: Judged) -> None:
    site, chain, store, _ = judged
    events = build_events(4)
    record(site, chain, store, events)
    Follower(site.connect(chain), store).follow()
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE heads SET head = zeroblob(32) WHERE subject = ?", (site.orders[0],))
    found = check_of(judged, events, {event.key for event in events})
    assert (found.replay_equal, found.heads_equal, found.passed) == (True, False, False)
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE cursor SET digest = zeroblob(32)")
    assert check_of(judged, events, set()).replay_equal is False


def test_two_runs_together(judged: Judged) -> None:
    one = LedgerCheck(5, 4, 1, 0, 0, 0, 0, 0, True, True)
    bad = dataclasses.replace(one, lost=1, heads_equal=False)
    joined = one.join(bad)
    assert (joined.events, joined.lost, joined.replay_equal, joined.heads_equal) == (10, 1, True, False)
    assert one.join(one).passed
    assert not joined.passed


def test_an_unknown_run_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown fault profile 'rain'; use one of rpc, kill"):
        run_faults("rain", 1, 1)


def test_the_node_is_killed_at_every_step_that_its_owners_list() -> None:
    listed = [points for owner, points in CRASH_POINTS.items() if owner != RELAY]
    assert sorted(STEPS) == sorted(point for points in listed for point in points)
    assert {callable(getattr(Outbox, name)) for name in CRASH_POINTS[Outbox.__module__]} == {True}
    assert {callable(getattr(OutboxWriter, name)) for name in CRASH_POINTS[OutboxWriter.__module__]} == {True}
    kills = _plan_kills(200, 1)
    for step in STEPS:
        for after in (False, True):
            assert sum((kill.step, kill.after) == (step, after) for kill in kills) >= 5


def test_the_results_list_every_crash_point_beside_its_owner() -> None:
    told = (Path(factory.__file__).parent / "RESULTS.md").read_text()
    for owner, points in CRASH_POINTS.items():
        [line] = [line for line in told.splitlines() if line.startswith(f"| `{owner}` |")]
        assert line == f"| `{owner}` | {', '.join(points)} |"
    for what, (call, path) in factory.SYSTEM_CALLS.items():
        assert f"| {what} | `{call}`, `{path}` |" in told


def test_a_slope_is_that_of_the_line() -> None:
    assert fit_slope([(0.0, 5.0), (2.0, 6.0), (4.0, 7.0)]) == 0.5
    assert fit_slope([(1.0, 5.0)]) == fit_slope([]) == 0.0


@pytest.mark.parametrize(
    ("memory", "files", "broken"),
    [
        (lambda at_s: 126.0 - 2 * 0.99**at_s, lambda at_s: 17 + (at_s % 50 == 0), ()),
        (lambda at_s: 120.0 + at_s / 500, lambda _: 17, ("memory grows by 1.2 MiB in ten minutes",)),
        (
            lambda _: 126.0,
            lambda at_s: 17 + at_s // 200,
            ("at least 20 files are open in the last quarter, 19 in the quarter before it",),
        ),
    ],
    ids=["levels off", "memory leaks", "files leak"],
)
def test_what_grows_after_the_warm_up_is_a_leak(
    memory: Callable[[int], float], files: Callable[[int], int], broken: tuple[str, ...]
) -> None:
    samples = [(float(at_s), memory(at_s), files(at_s)) for at_s in range(0, 900, 2)]
    assert judge_growth(samples, 450.0)[1] == broken
