"""`millmark outbox`: what waits, why, and what the operator does about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry
from millmark.services.store import open_store
from tests.support.command_line import Runner

KEY = b"\x01" * 20


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    for name in ("MILLMARK_CHAIN_URL", "MILLMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    with open_store(f"sqlite:///{tmp_path / 'millmark.sqlite'}") as store:
        entries = [("a", None), ("b", "a"), ("c", None)]
        Outbox(store).enqueue(KEY, [Entry(key, "ledger", "Anchor", b"x", needs) for key, needs in entries])
    return Runner(tmp_path, monkeypatch, capsys)


def listed(run: Runner) -> list[tuple[str, str, str]]:
    code, out, _ = run("outbox", "list", "--json")
    assert code == 0
    return [(row["key"], row["state"], row["why"]) for row in json.loads(out)["records"]]


def test_each_record_says_why_it_waits(run: Runner) -> None:
    assert listed(run) == [(key, "queued", "waits for its turn") for key in "abc"]
    assert run("outbox", "pause", "a")[1] == "a is paused\n"
    assert listed(run) == [
        ("a", "paused", "paused by the operator"),
        ("b", "blocked", "waits for a"),
        ("c", "queued", "waits for its turn"),
    ]
    assert run("outbox", "resume", "a")[1] == "a is queued again\n"
    assert {state for _, state, _ in listed(run)} == {"queued"}
    assert run("outbox", "cancel", "a", "c")[1] == "a is cancelled\nc is cancelled\n"
    assert listed(run) == [("b", "blocked", "waits for a")]
    assert "waits for a" in run("outbox", "list")[1]


def test_an_empty_outbox_says_so(run: Runner) -> None:
    run("outbox", "cancel", "a", "b", "c")
    assert run("outbox", "list")[1] == "the outbox is empty\n"
    assert listed(run) == []


def _fail(folder: Path, key: str, name: str) -> None:
    with open_store(f"sqlite:///{folder / 'millmark.sqlite'}") as store, store.transaction() as connection:
        connection.exec_driver_sql(
            f"UPDATE outbox_records SET state = 'failed', error_name = '{name}', error = '{name}(order=0x00)' "  # noqa: S608 - of this test
            f"WHERE idempotency_key = '{key}'"
        )


def test_a_refused_record_is_not_sent_again_unsaid(run: Runner, tmp_path: Path) -> None:
    _fail(tmp_path, "a", "LotOrderWrong")
    _fail(tmp_path, "c", "GateClosed")
    code, err = run.refused("outbox", "resume", "c", "a")
    assert code == 1
    assert "a would go out with the same order, for which it was refused: LotOrderWrong(order=0x00)" in err
    assert [state for _, state, _ in listed(run)] == ["failed", "queued", "failed"]
    told = run("outbox", "resume", "c", "a", "--unchanged")[1]
    assert told == (
        "c is queued again, unchanged; it was refused: GateClosed(order=0x00)\n"
        "a is queued again, unchanged; it was refused: LotOrderWrong(order=0x00)\n"
    )


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_an_unknown_key_is_refused_in_one_line(run: Runner, action: str) -> None:
    code, err = run.refused("outbox", action, "z")
    assert code == 1
    assert err == "millmark: the outbox has no record 'z'; see `millmark outbox list`\n"
    assert len(listed(run)) == 3


def test_waiting_records_are_handed_over_to_another_key(run: Runner) -> None:
    old, new = "0x" + KEY.hex(), "0x" + "02" * 20
    assert run("outbox", "hand-over", old, new) == (0, f"3 records are now queued for {new}\n", "")
    assert run("outbox", "hand-over", old, new)[1] == f"0 records are now queued for {new}\n"
    code, err = run.refused("outbox", "hand-over", old, "new")
    assert (code, err) == (1, "millmark: 'new' is not an address; write 0x and 40 hexadecimal digits\n")


def test_all_failed_records_are_dealt_with_at_once(run: Runner, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'millmark.sqlite'}") as store:
        outbox = Outbox(store)
        writer = outbox.take_lease(KEY, None, "holder", 1)
        numbers = {key: outbox.find([key])[key].id for key in "abc"}
        for key in "ac":
            writer.fail_record(numbers[key], "OrderKnown", "OrderKnown()")
        again = "is queued again, unchanged; it was refused: OrderKnown()"
        assert run("outbox", "resume", "--failed")[1] == f"a {again}\nc {again}\n"
        for key in "ac":
            writer.fail_record(numbers[key], "OrderKnown", "OrderKnown()")
        assert run("outbox", "cancel", "--failed")[1] == "a is cancelled\nc is cancelled\n"
        assert [one.idempotency_key for one in outbox.failed(9)] == ["b"], "it waits for a, which will never be there"
        assert run("outbox", "resume", "--failed")[1] == ""
        assert run("outbox", "cancel", "--failed")[1] == "b is cancelled\n"
        assert outbox.failed(9) == []
    for arguments in ((), ("a", "--failed")):
        code, err = run.refused("outbox", "cancel", *arguments)
        assert (code, err) == (
            2,
            "millmark: it is not said which records; give idempotency keys, or --failed for all\n",
        )
