"""What is recorded of captured EPCIS events after refusals, crashes and a full disk, and without permission."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import StoreError
from millmark.ledger.store.outbox import Outbox
from millmark.services.access import Scope, new_api_key
from millmark.services.gateway.epcis.capture import CAPTURE
from millmark.services.gateway.recording.repository import RecordingRepository
from millmark.services.store import open_store
from tests.support.capturing import Company, added, admit, event, open_company, thing
from tests.support.crash import CrashingStore, CrashPoint
from tests.support.epcis_events import Json, document
from tests.support.gateway_client import HOST, build_caller
from tests.support.sign_in import NOW_S

pytestmark = pytest.mark.integration


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    yield from open_company(tmp_path)


def test_a_refused_record_fails_alone_with_the_contracts_error(company: Company) -> None:
    company.final(added(1, "P", "R", "T"))
    pack: Json = {"parentID": thing("P"), "childEPCs": [thing("R")]}
    company.final(event(2, "AggregationEvent", bizStep="packing", **pack))
    scrap = event(3, action="DELETE", epcList=[thing("R"), thing("T")], bizStep="destroying")
    told, other = company.capture(scrap, added(4, "U"))
    refused, scrapped = told["recorded"]
    assert (refused["state"], refused["done"]) == ("failed", True)
    assert refused["refusal"]["name"].startswith("Lot")
    assert scrapped["state"] == "final"
    assert [one["state"] for one in other["recorded"]] == ["final"]


def test_one_bad_event_keeps_all_from_being_recorded_unless_they_shall_proceed(company: Company) -> None:
    bad = {**added(2, "BAD"), "bizStep": "no-such-step"}
    good = added(1, "GOOD")
    assert [one["status"] for one in company.capture(good, bad)] == ["rolled-back", "rejected"]
    assert company.lots("GOOD") == []
    kept, refused = company.capture(good, bad, GS1_Capture_Error_Behaviour="proceed")
    assert [one["state"] for one in kept["recorded"]] == ["final"]
    assert "recorded" not in refused
    assert len(company.lots("GOOD")) == 1


def test_a_crash_at_any_boundary_neither_doubles_nor_loses(company: Company) -> None:
    point = CrashPoint()
    company.start(CrashingStore(company.store, point))
    company.post(added(1, "count"))
    boundaries, before = point.seen, company.world.count()
    assert boundaries >= 1
    for number, (at, stored) in enumerate((at, stored) for at in range(1, boundaries + 1) for stored in (False, True)):
        company.start(CrashingStore(company.store, CrashPoint(at, stored)))
        assert company.post(added(10 + number, f"crash-{number}")).status_code == 500
        company.start()
        [told] = company.capture(added(10 + number, f"crash-{number}"))
        assert [one["state"] for one in told["recorded"]] == ["final"]
        assert told["status"] == ("duplicate" if stored and at == boundaries else "accepted")
        assert len(company.lots(f"crash-{number}")) == 1
    assert company.world.count() == before + 2 * boundaries + 1


def test_a_disk_that_fails_between_event_and_record_keeps_neither(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(RecordingRepository, "queue", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full")))
        assert company.post(added(1, "disk")).status_code == 503
    assert company.caller.ask(CAPTURE).json() == []
    [told] = company.capture(added(1, "disk"))
    assert (told["status"], [one["state"] for one in told["recorded"]]) == ("accepted", ["final"])


def test_a_killed_process_neither_doubles_nor_loses(company: Company) -> None:
    """SIGKILL within the transaction, when the event and its first record are written."""
    child = os.fork()
    if child == 0:
        _die_at_the_second_record(company)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    before = company.world.count()
    [told] = company.capture(added(1, "K1", "K2"))
    assert (told["status"], [one["state"] for one in told["recorded"]]) == ("accepted", ["final", "final"])
    assert company.world.count() == before + 2


def _die_at_the_second_record(company: Company) -> None:
    """In a process of its own, with its own handle on the database; never returns."""
    try:
        queue = RecordingRepository.queue
        seen: list[int] = []

        def die(*given: Any) -> int:
            if seen:
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(queue(*given))
            return seen[0]

        setattr(RecordingRepository, "queue", die)  # noqa: B010 - mypy knows no other way

        company.start(open_store(company.store.url))
        company.post(added(1, "K1", "K2"))
    finally:
        os._exit(1)


def test_only_the_company_with_the_scope_records(company: Company) -> None:
    other = admit(company.world, company.store)
    recording = company.world.chain, company.signer
    guarded = build_caller(company.store, company.number, recording=recording, name_keys=[company.name_key])

    def ask(participant: int, *scopes: Scope, query: str = "?record=true") -> int:
        key = new_api_key(company.store, participant, scopes, "MES", now_s=NOW_S, life_s=600)[0]
        named = {"Authorization": f"Bearer {key}", "Host": HOST}
        return guarded.ask(CAPTURE + query, "POST", document(added(1, "mine")), **named).status_code

    assert ask(other.number, Scope.CAPTURE, Scope.RECORDING) == 403
    assert ask(company.number, Scope.CAPTURE) == 403
    assert ask(company.number, Scope.RECORDING) == 403
    assert Outbox(company.store).counts().get("queued", 0) == 0
    assert ask(other.number, Scope.CAPTURE, query="") == 202
    assert ask(company.number, Scope.CAPTURE, Scope.RECORDING) == 202
    assert Outbox(company.store).counts()["queued"] == 1


def test_without_a_key_nothing_is_captured_and_it_is_said(company: Company) -> None:
    caller = build_caller(company.store)
    answer = caller.ask(f"{CAPTURE}?record=true", "POST", document(added(1, "keyless")))
    assert (answer.status_code, answer.json()["type"]) == (503, "epcisException:ImplementationException")
    assert "no key for recording" in answer.json()["detail"]
    assert caller.ask(CAPTURE).json() == []
