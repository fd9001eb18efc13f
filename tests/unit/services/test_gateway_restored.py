"""A gateway whose database was restored from an older backup: it records nothing twice, and calls nothing failed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError, OutboxOlderError
from millmark.ledger.index import Follower
from millmark.ledger.records import ALL_ROLES
from millmark.ledger.store import Book, Rows, Store, outbox_writer
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import LotRow
from millmark.ledger.submit import adopt_records, verify_outbox
from millmark.services.commands.context import Context
from millmark.services.gateway import comparison as comparison_module
from millmark.services.gateway.http.problems import TryLaterError
from millmark.services.gateway.recording import recorder as recorder_module
from millmark.services.gateway.recording.recorder import Attempt
from millmark.services.settings import Settings
from tests.proofs.experiments import count_lots
from tests.support.company_site import Site, open_site
from tests.support.fake_node import record_of
from tests.support.figures import Judge
from tests.support.patience import MAX_S
from tests.support.stores import copy_database, new_store

OLDER = "urn:millmark:problem:outbox-older-than-ledger"
WAITING, LATER = 5, 10


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from open_site(tmp_path)


def receive(site: Site, number: int, kind: str) -> dict[str, Any]:
    body = {"identifier": f"urn:example:{kind}-{number}", "quantity": 1, "unit": "H87", "claims": {"number": number}}
    answer = site.post("/v1/lots/receive", body, f"request-{kind}-{number}")
    return {"status": answer.status_code, **answer.json()}


def count(store: Store, state: OutboxState) -> int:
    return Outbox(store).counts().get(state, 0)


def restored(site: Site, backup: Store) -> Site:
    """A gateway on the backup, as after it was restored."""
    return Site(backup, site.world, site.signer, number=site.number, name_keys=site.name_keys)


def test_nothing_is_doubled_or_called_failed_after_an_older_backup(site: Site, tmp_path: Path, judge: Judge) -> None:
    final = [receive(site, number, "final") for number in range(2)]
    site.send()
    waiting = [receive(site, number, "waiting") for number in range(WAITING)]
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        site.send()
        later = [receive(site, number, "later") for number in range(LATER)]
        site.send()
        made = site.world.count()
        old = restored(site, backup)
        # The index has to reach the ledger first; until then nobody can say whether the outbox is older.
        early = receive(old, 0, "later")
        assert (early["status"], early["type"]) == (503, "urn:millmark:problem:try-later")
        Follower(site.world.chain, backup).follow()
        refused = receive(old, 0, "later")
        assert (refused["status"], refused["type"]) == (503, OLDER)
        assert f"outbox adopt 0x{site.signer.address.hex()}" in refused["hint"]
        assert old.caller.ask("/v1/lots?limit=1").status_code == 200, "reads go on"
        with pytest.raises(OutboxOlderError):
            verify_outbox(site.world.chain, backup, site.signer.address)

        adopted = adopt_records(site.world.chain, backup, site.signer.address)
        assert (adopted.waiting, adopted.unknown) == (WAITING, LATER)
        assert (count(backup, OutboxState.FAILED), count(backup, OutboxState.QUEUED)) == (0, 0)
        with backup.reading() as connection:
            assert not any(Book(connection).identities(f"urn:example:later-{number}") for number in range(LATER))
        for kind, answers in (("final", final), ("waiting", waiting), ("later", later)):
            for number, before in enumerate(answers):
                again = receive(old, number, kind)
                assert (again["status"], again["subjects"]) == (202, before["subjects"])
                # An answer from before the backup is repeated word for word; the record itself is final.
                assert old.caller.ask(f"/v1/records/{again['id']}").json()["state"] == "final"
        old.send()
        subjects = [bytes.fromhex(one["subjects"][0][2:]) for one in (*final, *waiting, *later)]
        counts = count_lots(site.world.chain, subjects, 0, count(backup, OutboxState.FAILED))
        judge(f"refused; {adopted.waiting} waiting are final, {adopted.unknown} later ones found again", **counts)
        assert site.world.count() == made, "no record was made twice"
        # Names and claims of the later records are back, since their requests were repeated.
        for number, before in enumerate(later):
            lot = old.caller.ask(f"/v1/lots/{before['subjects'][0]}").json()
            assert lot["identifier"] == f"urn:example:later-{number}"
            with backup.reading() as connection:
                row = Rows(connection).get(LotRow, bytes.fromhex(before["subjects"][0][2:]))
                assert row is not None
                assert Book(connection).document(row.claims_root) is not None
        assert adopt_records(site.world.chain, backup, site.signer.address).transactions == 0
        fresh = receive(old, 0, "fresh")
        old.send()
        assert old.caller.ask(f"/v1/records/{fresh['id']}").json()["state"] == "final"
        assert site.world.count() == made + 1


def test_an_outbox_that_became_older_under_its_gateway_is_told(site: Site, tmp_path: Path) -> None:
    """After a failover to a replica that lacked the latest transactions, the gateway has other data and no restart."""
    receive(site, 0, "final")
    site.send()
    with new_store(tmp_path, "replica.db") as replica:
        copy_database(site.store, replica)
        later = receive(site, 0, "later")
        site.send()
        made = site.world.count()
        copy_database(replica, site.store)
    site.store.interruptions += 1  # the connections to the server that failed were lost
    Follower(site.world.chain, site.store).follow()
    refused = receive(site, 0, "later")
    assert (refused["status"], refused["type"]) == (503, OLDER)
    adopt_records(site.world.chain, site.store, site.signer.address)
    assert receive(site, 0, "later")["subjects"] == later["subjects"]
    assert site.world.count() == made


def test_a_command_records_nothing_before_the_outbox_is_compared(site: Site, tmp_path: Path) -> None:
    """Also if a block comes whenever the index was brought up to the chain."""
    world = site.world

    class Racing(Context):
        blocks = 2

        def chain(self) -> Chain:
            return world.chain

        def catch_up(self) -> ChainUnreachableError | None:
            Follower(world.chain, self.store).follow()
            if self.blocks:
                Racing.blocks -= 1
                world.chain.node.wait(1)
            return None

    receive(site, 0, "waiting")
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        site.send()
        made = world.count()
        with pytest.raises(OutboxOlderError):
            Racing(Settings(), backup).record(site.signer, [world.lots(1)[0][1]])
        assert (world.count(), count(backup, OutboxState.QUEUED)) == (made, 1)


def test_nothing_is_called_final_that_a_reorganisation_could_undo(site: Site, tmp_path: Path) -> None:
    receive(site, 0, "waiting")
    profile = dataclasses.replace(site.world.chain.profile, finality_depth=2)
    chain = Chain(site.world.chain.node, profile, site.world.chain.deployment)
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        site.send()
        Follower(chain, backup).follow()
        with pytest.raises(ChainUnreachableError, match=r"is not final yet.*repeat the command in a few blocks"):
            adopt_records(chain, backup, site.signer.address)
        assert count(backup, OutboxState.QUEUED) == 1
        for _ in range(2):
            site.world.chain.node.wait(1)
        assert adopt_records(chain, backup, site.signer.address).waiting == 1


def test_records_that_an_earlier_version_called_failed_are_final(site: Site, tmp_path: Path) -> None:
    receive(site, 0, "waiting")
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        site.send()
        site.world.submitter(Outbox(backup), site.signer).drain()
        assert count(backup, OutboxState.FAILED) == 1
        Follower(site.world.chain, backup).follow()
        assert adopt_records(site.world.chain, backup, site.signer.address).waiting == 1
        [record] = Outbox(backup).page(None, 1, None)
        assert (record.state, record.error, record.sequence) == (OutboxState.FINAL, None, site.world.count())


def test_what_a_key_did_before_the_outbox_was_first_used_is_no_concern_of_it(site: Site, tmp_path: Path) -> None:
    site.final("/v1/lots/receive", identifier="urn:example:elsewhere", quantity=1, unit="H87")
    with new_store(tmp_path, "empty.db") as empty:
        assert verify_outbox(site.world.chain, empty, site.signer.address)
        Follower(site.world.chain, empty).follow()
        old = restored(site, empty)
        assert receive(old, 0, "first")["status"] == 202
        # A second subject for a name of its own is refused as ever, also if the book does not have the name.
        taken = old.post("/v1/lots/receive", {"identifier": "urn:example:elsewhere", "quantity": 1, "unit": "H87"})
        assert taken.status_code == 409


def test_a_backup_from_before_the_first_record_is_older_too(site: Site, tmp_path: Path) -> None:
    """Its gateway had started, and compared an empty outbox with a key that had sent nothing."""
    chain, signer = site.world.chain, site.world.admit(Outbox(site.store), ALL_ROLES)
    with new_store(tmp_path, "home.db") as home, new_store(tmp_path, "backup.db") as backup:
        assert verify_outbox(chain, home, signer.address)
        copy_database(home, backup)
        submitter = site.world.submitter(Outbox(home), signer)
        submitter.submit([("first", record_of(1, 0))])
        submitter.drain()
        Follower(chain, backup).follow()
        with pytest.raises(OutboxOlderError):
            verify_outbox(chain, backup, signer.address)
        assert adopt_records(chain, backup, signer.address).unknown == 1
        assert verify_outbox(chain, backup, signer.address)


def test_a_key_that_made_no_record_elsewhere_does_not_stop_recording(site: Site) -> None:
    """It sent a transfer, so that the chain has counted a nonce that the outbox did not allocate."""
    site.world.transfer(site.signer)
    assert receive(site, 0, "early")["status"] == 503, "the index has to reach the transfer first"
    Follower(site.world.chain, site.store).follow()
    assert receive(site, 0, "after")["status"] == 202
    site.send()
    assert Outbox(site.store).page(None, 1, None)[0].state is OutboxState.FINAL


def test_salts_follow_from_secret_and_request_and_not_from_what_the_outbox_keeps(site: Site, tmp_path: Path) -> None:
    def draw(store: Store, token: str, seed: bytes) -> list[bytes]:
        salts = Attempt(token, seed).salts(store)
        return [salts(), salts()]

    same = draw(site.store, "token", b"seed")
    assert draw(site.store, "another", b"seed") == same
    with new_store(tmp_path, "other.db") as other:
        all_of_them = [*same, *draw(site.store, "token", b"another"), *draw(other, "token", b"seed")]
    assert len(set(all_of_them)) == 6
    assert {len(salt) for salt in all_of_them} == {32}


def scrap(site: Site, lot: str, key: str) -> dict[str, Any]:
    """Says nothing that only this request could say: no name, no claims."""
    answer = site.post(f"/v1/lots/{lot}/scrap", {"quantity": 1, "disposition": "scrapped"}, key)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_request_without_name_and_claims_finds_its_record_too(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [lot] = site.final("/v1/lots/receive", identifier="urn:example:many", quantity=9, unit="H87")["subjects"]
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        for number in range(3):
            scrap(site, lot, f"request-scrap-{number}")
        site.send()
        made = site.world.count()
        Follower(site.world.chain, backup).follow()
        adopt_records(site.world.chain, backup, site.signer.address)
        old = restored(site, backup)
        repeated = [scrap(old, lot, f"request-scrap-{number}") for number in range(2)]
        assert [one["state"] for one in repeated] == ["final", "final"]
        assert repeated[0]["sequence"] < repeated[1]["sequence"], "each has a record of its own"
        assert scrap(old, lot, "request-scrap-0")["id"] == repeated[0]["id"]
        # A request that can no longer be a repetition is a new one, although one record was never claimed.
        monkeypatch.setattr(recorder_module, "KEEP_S", -3600)
        assert scrap(old, lot, "request-scrap-much-later")["state"] == "queued"
        old.send()
        assert site.world.count() == made + 1


def test_a_record_that_was_under_way_and_went_out_again_is_not_made_twice(
    site: Site, tmp_path: Path, judge: Judge
) -> None:
    """In the backup its transaction was sent. Something else used the nonce, so it went out under another one."""
    outbox = Outbox(site.store)
    site.world.line.handlers["eth_sendRawTransaction"] = lambda params: params[0]
    [sent] = receive(site, 0, "sent")["subjects"]
    site.world.submitter(outbox, site.signer).step()
    assert outbox.count_unmined(site.signer.address) == 1
    del site.world.line.handlers["eth_sendRawTransaction"]
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        site.world.transfer(site.signer)
        site.send()
        made = site.world.count()
        assert outbox.counts() == {"final": outbox.counts()["final"]}
        Follower(site.world.chain, backup).follow()
        adopted = adopt_records(site.world.chain, backup, site.signer.address)
        assert (adopted.waiting, adopted.unknown) == (1, 0)
        restored(site, backup).send()
        counts = count_lots(site.world.chain, [bytes.fromhex(sent[2:])], 0, count(backup, OutboxState.FAILED))
        judge("found under its second nonce, final", **counts)
        assert site.world.count() == made, "no record was made twice"
        assert count(backup, OutboxState.FAILED) == 0


def test_two_adoptions_at_once_are_one(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        receive(site, 0, "later")
        site.send()
        chain, key = site.world.chain, site.signer.address
        Follower(chain, backup).follow()
        find = outbox_writer.find_unknown_records

        def overtaken(*asked: Any, **how: Any) -> Any:
            found = find(*asked, **how)
            monkeypatch.setattr(outbox_writer, "find_unknown_records", find)
            assert adopt_records(chain, backup, key).transactions == 1
            return found

        monkeypatch.setattr(outbox_writer, "find_unknown_records", overtaken)
        assert adopt_records(chain, backup, key).transactions == 0


def test_a_node_that_hangs_holds_one_request_and_not_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that waited for the comparison would be all threads of the gateway, readers' too."""
    asked, answer = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> bool:
        asked.set()
        return answer.wait(MAX_S)

    monkeypatch.setattr(comparison_module, "verify_outbox", hang)
    monkeypatch.setattr(comparison_module, "_WAIT_S", 0.0)
    comparison = comparison_module.Comparison(site.world.chain, site.store, site.signer.address)
    first = threading.Thread(target=comparison.verify)
    first.start()
    assert asked.wait(MAX_S)
    try:
        for _ in range(20):
            with pytest.raises(TryLaterError, match="the node has not answered yet"):
                comparison.verify()
    finally:
        answer.set()
        first.join()
    comparison.verify()
