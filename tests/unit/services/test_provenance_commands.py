"""`millmark trace` and `millmark recall`: answers for people and programs, what is cut off, mistakes in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.provenance import Limits, recall, trace
from millmark.ledger.provenance.search import FoundThings, search
from millmark.services.store import open_store
from tests.support.command_line import Runner
from tests.support.fake_world import World, build_world

HIP = "urn:example:hip-3"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('home') / 'millmark.sqlite'}") as store:
        yield build_world(store)


@pytest.fixture
def run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    """At home in a copy of the world's database."""
    for name in ("MILLMARK_CHAIN_URL", "MILLMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    home = Path(world.store.url.removeprefix("sqlite:///")).parent
    for file in home.iterdir():
        shutil.copy(file, tmp_path)
    return Runner(tmp_path, monkeypatch, capsys)


def test_json_is_the_answer(run: Runner, world: World) -> None:
    expected = {"format": "millmark.trace/1", **trace(world.store, HIP).to_json()}
    code, out, err = run("trace", HIP, "--json")
    assert (code, json.loads(out), err) == (0, expected, "")


def test_a_direction_leaves_the_other_out(run: Runner) -> None:
    up = json.loads(run("trace", "urn:example:billet", "--direction", "up", "--json")[1])
    down = json.loads(run("trace", "urn:example:billet", "--direction", "down", "--json")[1])
    assert (len(up["upstream"]), up["downstream"], down["upstream"], len(down["downstream"])) == (2, [], [], 5)


def test_the_table_names_lots_either_way(run: Runner) -> None:
    out = run("trace", "urn:example:billet")[1]
    assert "made from\n" in out
    assert "went into\n" in out
    assert "its lots were made from" in run("trace", "urn:example:hip")[1]


def test_names_are_shown_by_their_last_part_or_whole(run: Runner) -> None:
    assert "  hip-blank: " in run("trace", HIP)[1]
    assert "  urn:example:hip-blank: " in run("trace", HIP, "--full")[1]


@pytest.mark.parametrize("json_asked", [False, True])
@pytest.mark.parametrize(("limit", "told"), [("--depth=1", "at depth 1"), ("--limit=1", "at the limit of 1")])
def test_a_cut_answer_says_so(run: Runner, json_asked: bool, limit: str, told: str) -> None:
    code, out, err = run("trace", HIP, limit, *(["--json"] if json_asked else []))
    assert code == 0
    assert f"upstream {told}" in (err if json_asked else out)
    if json_asked:
        assert err.startswith("millmark: cut off: upstream ")
        assert json.loads(out)["truncated"]
    else:
        assert err == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--depth", "0"), "--depth 0 is out of range; give 1 to 256"),
        (("--depth", "257"), "--depth 257"),
        (("--limit", "-1"), "--limit -1"),
        (("--limit", "10001"), "give 1 to 10000"),
        (("--depth", "many"), "--depth"),
        (("--direction", "left"), "'left' is not one of"),
    ],
)
def test_a_mistake_in_a_trace_is_one_line(run: Runner, arguments: tuple[str, ...], told: str) -> None:
    code, err = run.refused("trace", HIP, *arguments)
    assert (code, told in err) == (2, True), err


def test_a_recall_lists_counts_lots_orders_and_holders(run: Runner, world: World) -> None:
    code, out, _ = run("recall", "--lot", "urn:example:billet")
    assert code == 0
    assert "certificates: 4, in force: 4\n" in out
    assert "lots reached: 6, not spent: 6, quarantined: 0\n" in out
    assert "orders: 2\n  hip: in production, for Clinic\n" in out
    assert "  Smithy: 4 lots, 0 quarantined\n" in out
    shown = json.loads(run("recall", "--lot", "urn:example:billet", "--json")[1])
    assert shown == {"format": "millmark.recall/1", **recall(world.store, lot="urn:example:billet").to_json()}


@pytest.mark.parametrize("span", [("2025-01-01", "2026-01-01"), ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00")])
def test_a_recall_of_a_machine(run: Runner, world: World, span: tuple[str, str]) -> None:
    for name in (str(world.machine), "urn:example:mill"):
        code, out, _ = run("recall", "--machine", name, "--between", *span)
        assert code == 0
        assert out.startswith("urn:example:mill of Smithy, 2025-01-01 00:00:00Z to 20")
        assert "lots reached: 5" in out


def test_a_day_counts_in_whole(run: Runner, world: World) -> None:
    shown = json.loads(
        run("recall", "--machine", "urn:example:mill", "--between", "2025-01-01", "2025-01-01", "--json")[1]
    )
    assert (shown["since"], shown["until"]) == ("2025-01-01T00:00:00Z", "2025-01-01T23:59:59Z")
    assert shown["lots"] == []


def test_a_cut_recall_says_so(run: Runner, world: World) -> None:
    assert "cut off: lots at the limit of 2" in run("recall", "--lot", "urn:example:bar", "--limit", "2")[1]
    _, out, err = run("recall", "--lot", "urn:example:bar", "--limit", "2", "--json")
    assert err == "millmark: cut off: lots at the limit of 2; use a larger limit\n"
    limits = Limits(depth=256, lots=2)
    found = recall(world.store, lot="urn:example:bar", limits=limits)
    assert json.loads(out) == {"format": "millmark.recall/1", **found.to_json()}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "exactly one of model, lot and machine"),
        (("--model", "-1"), "-1 cannot be the number of a model; use the sequence"),
        (("--model", "0"), "0 cannot be the number of a model"),
        (("--model", str(2**80)), "cannot be the number of a model"),
        (("--model", "nine"), "--model"),
        (("--machine", "-1", "--between", "2025-01-01", "2025-01-02"), "-1 cannot be the number of a machine"),
        (("--machine", "a mill", "--between", "2025-01-01", "2025-01-02"), "mill"),
        (("--machine", "1"), "needs the period in which it was bad"),
        (("--model", "9", "--between", "2025-01-01", "2025-01-02"), "only a recall of a machine has a period"),
        (("--machine", "1", "--between", "2025-01-02", "2025-01-01"), "is after"),
        (("--machine", "1", "--between", "2025-01-02"), "--between"),
        (("--machine", "1", "--between", "2025-13-02", "2025-01-01"), "2025-13-02 is neither a day"),
        (
            ("--machine", "1", "--between", "2025-01-02T10:00", "2025-01-03"),
            "neither a day nor a time with a time zone",
        ),
        (("--machine", "1", "--between", "2025-01-02", "9999-12-31T23:59:59-23:59"), "outside the years 1 to 9999"),
        (("--lot", "urn:example:bar", "--limit", "0"), "--limit 0 is out of range"),
    ],
)
def test_a_mistake_in_a_recall_is_one_line(run: Runner, arguments: tuple[str, ...], told: str) -> None:
    code, err = run.refused("recall", *arguments)
    assert (code, told in err) == (2, True), err


def test_find_lists_what_a_text_names(run: Runner, world: World) -> None:
    code, out, err = run("find", "hip-3")
    assert (code, err) == (0, "")
    assert HIP in out
    assert "lot" in out
    found = json.loads(run("find", HIP, "--json")[1])
    expected = FoundThings(search(world.store, HIP, None), truncated=False).to_json()
    assert found == {"format": "millmark.find/1", **expected}
    assert [one["kind"] for one in found["found"]] == ["lot"]


def test_what_nothing_is_called_is_said_in_one_line(run: Runner) -> None:
    for text in ("nothing-of-that-name", "9" * 30, "0x" + "ab" * 32):
        code, out, err = run("find", text)
        assert (code, out) == (1, "")
        assert "nothing here is called" in err
    assert run("find", "\u202e")[0] == 2
