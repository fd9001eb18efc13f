"""Records onto a real chain: each lands once, and what the contract refuses fails alone, by name."""

from __future__ import annotations

from math import ceil, log2

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.errors import DuplicateRecordError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import (
    ALL_ROLES,
    AcceptKey,
    Anchor,
    Contract,
    Disposition,
    OpenStream,
    ProposeKey,
    ReceiveLot,
    Record,
    RegisterMachine,
    RevokeKey,
    Role,
    ScrapLot,
    Suspend,
)
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from tests.support.ledger_world import NOTHING, LedgerWorld, results, verify_final


def taken(lots: list[tuple[str, Record]]) -> tuple[str, Record]:
    """A record that is refused once all of `lots` are on the ledger."""
    return f"again-{lots[0][0]}", lots[0][1]


def test_records_land_in_order_under_dense_sequences(world: LedgerWorld, outbox: Outbox) -> None:
    before, signer = world.count(), world.admit(outbox)
    submitter = world.submitter(outbox, signer, batch_size=4)
    ids = submitter.submit(world.lots(10))
    assert outbox.counts()["queued"] == 10, "durable before anything is sent"
    submitter.drain()
    assert verify_final(outbox, ids) == list(range(before + 1, before + 11))
    assert world.nonces(signer) == 3
    assert submitter.step() is True, "nothing is left to do"


def test_a_fixed_gas_limit_does_not_make_batches_smaller(world: LedgerWorld, outbox: Outbox) -> None:
    assert world.chain.profile.fixed_gas_limit is not None
    signer = world.admit(outbox)
    submitter = Submitter(world.chain, outbox, signer)
    for count in (1, 50):
        submitter.submit(world.lots(count))
        submitter.drain()
    assert world.nonces(signer) == 2


def test_the_same_record_again_is_the_same_record(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = world.submitter(outbox, world.admit(outbox))
    lots = world.lots(3)
    ids = submitter.submit(lots)
    submitter.drain()
    before = world.count()
    assert submitter.submit(lots) == ids
    submitter.drain()
    assert world.count() == before


def test_another_record_under_a_known_key_is_refused_with_all_that_came_with_it(
    world: LedgerWorld, outbox: Outbox
) -> None:
    submitter = world.submitter(outbox, world.admit(outbox))
    [(key, _), *_] = lots = world.lots(1)
    submitter.submit(lots)
    with pytest.raises(DuplicateRecordError):
        submitter.submit([*world.lots(2), (key, ReceiveLot(sha256(b"other"), 1, b"H87", NOTHING))])
    assert outbox.counts()["queued"] == 1


@pytest.mark.parametrize("bad", [0, 30])
def test_one_bad_record_of_fifty_fails_alone(world: LedgerWorld, outbox: Outbox, bad: int) -> None:
    signer = world.admit(outbox)
    submitter = world.submitter(outbox, signer)
    earlier = world.lots(1)
    submitter.submit(earlier)
    submitter.drain()
    records = world.lots(49)
    records.insert(bad, taken(earlier))
    world.line.passed.clear()
    ids = submitter.submit(records)
    submitter.drain()
    failed = outbox.record(ids.pop(bad))
    assert (failed.state, failed.error_name) == (OutboxState.FAILED, "HistorySubjectTaken")
    assert failed.error is not None
    assert failed.error.startswith("HistorySubjectTaken(subject=0x")
    assert "use another identifier, or another salt" in failed.error
    assert len(set(verify_final(outbox, ids))) == 49
    assert world.line.passed.count("eth_call") <= 2 * ceil(log2(50)), "simulations"


def test_several_bad_records_each_fail_for_their_own_reason(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = world.submitter(outbox, world.admit(outbox))
    earlier = world.lots(1)
    submitter.submit(earlier)
    submitter.drain()
    unknown = sha256(b"no such lot")
    records: list[tuple[str, Record]] = [
        taken(earlier),
        *world.lots(2),
        ("scrap", ScrapLot(unknown, 1, Disposition.SCRAPPED, NOTHING)),
        *world.lots(1),
        ("zero", ReceiveLot(sha256(b"zero"), 0, b"H87", NOTHING)),
    ]
    ids = submitter.submit(records)
    submitter.drain()
    found = results(outbox, ids)
    assert [record.state.value for record in found] == ["failed", "final", "final", "failed", "final", "failed"]
    names = [record.error_name for record in found if record.error_name]
    assert len(set(names)) == 3
    assert all(record.error and record.error.startswith(f"{record.error_name}(") for record in found if record.error)


def test_all_bad_records_fail_and_nothing_is_sent(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox, Role.AUDITOR)
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(5))
    submitter.drain()
    assert {record.error_name for record in results(outbox, ids)} == {"HistoryRoleMissing"}
    assert world.nonces(signer) == 0


def test_a_record_that_needs_the_one_before_it_goes_in_the_same_batch(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = world.submitter(outbox, signer)
    [machine] = submitter.submit([(f"machine-{signer.address.hex()}", RegisterMachine(sha256(b"m"), NOTHING))])
    submitter.drain()
    number = outbox.record(machine).sequence
    assert number is not None
    participant = world.chain.read(Contract.REGISTRY, "actorOf", "0x" + signer.address.hex())[0]
    assert isinstance(participant, int)
    opened = OpenStream(sha256(b"s"), number, NOTHING)
    ids = submitter.submit([("open", opened)])
    submitter.drain()
    verify_final(outbox, ids)
    stream = stream_of(world)
    sizes = enumerate((1, 2, 2, 3))
    ids = submitter.submit([(f"anchor-{place}", Anchor(stream, size, sha256(b"root"))) for place, size in sizes])
    submitter.drain()
    assert [record.state.value for record in results(outbox, ids)] == ["final", "final", "failed", "final"]


def stream_of(world: LedgerWorld) -> bytes:
    """Subject of the stream that was opened last."""
    [record] = world.chain.recorded(world.chain.header(world.chain.node.block_number()))
    assert record.kind == "StreamOpened"
    return record.subject


def test_contracts_take_turns_in_order(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = world.submitter(outbox, signer)
    [one, two] = world.lots(2)
    ids = submitter.submit([one, ("machine", RegisterMachine(sha256(b"turn" + one[0].encode()), NOTHING)), two])
    submitter.drain()
    found = results(outbox, ids)
    assert {record.state for record in found} == {OutboxState.FINAL}
    first, _, last = (record.sequence for record in found)  # of the machine: the registry counts by itself
    assert first is not None
    assert last == first + 1
    assert world.nonces(signer) == 3


# Keys


def test_an_unknown_key_is_named(world: LedgerWorld, outbox: Outbox) -> None:
    stranger = world.fund(LocalSigner.generate())
    submitter = world.submitter(outbox, stranger)
    [number] = submitter.submit(world.lots(1))
    submitter.drain()
    failed = outbox.record(number)
    assert failed.error_name == "RegistryKeyUnknown"
    assert f"key=0x{stranger.address.hex()}" in str(failed.error)
    assert "have the registry's owner admit the participant" in str(failed.error)


def test_a_revoked_key_is_named(world: LedgerWorld, outbox: Outbox) -> None:
    old, new = world.admit(outbox), world.fund(LocalSigner.generate())
    participant = world.chain.read(Contract.REGISTRY, "actorOf", "0x" + old.address.hex())[0]
    assert isinstance(participant, int)
    for signer, key, record in (
        (old, "propose", ProposeKey(new.address, int(ALL_ROLES), admin=True)),
        (new, "accept", AcceptKey(participant)),
        (new, "revoke", RevokeKey(old.address, 0)),
    ):
        submitter = world.submitter(outbox, signer)
        ids = submitter.submit([(f"{key}-{new.address.hex()}", record)])
        submitter.drain()
        verify_final(outbox, ids)
    submitter = world.submitter(outbox, old)
    [number] = submitter.submit(world.lots(1))
    submitter.drain()
    assert outbox.record(number).error_name == "RegistryKeyRevoked"


def test_a_suspended_participant_is_named(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    participant = world.chain.read(Contract.REGISTRY, "actorOf", "0x" + signer.address.hex())[0]
    assert isinstance(participant, int)
    owner = world.submitter(outbox, world.owner)
    owner.submit([(f"suspend-{participant}", Suspend(participant, NOTHING))])
    owner.drain()
    submitter = world.submitter(outbox, signer)
    [number] = submitter.submit(world.lots(1))
    submitter.drain()
    assert outbox.record(number).error_name == "RegistryParticipantSuspended"


def test_two_keys_share_one_outbox(world: LedgerWorld, outbox: Outbox) -> None:
    first, second = (world.submitter(outbox, world.admit(outbox)) for _ in range(2))
    theirs, others = first.submit(world.lots(3)), second.submit(world.lots(3))
    first.drain()
    assert {record.state for record in results(outbox, others)} == {OutboxState.QUEUED}
    second.drain()
    verify_final(outbox, theirs + others)


def test_who_waits_for_own_records_does_not_wait_for_those_that_others_go_on_to_queue(
    world: LedgerWorld, outbox: Outbox
) -> None:
    """As a command beside a gateway that records with the same key all day."""
    signer = world.admit(outbox)
    gateway = world.submitter(outbox, signer)

    class Command(Submitter):
        def step(self) -> bool:
            super().step()
            gateway.submit(world.lots(1))
            return outbox.is_idle(self.key)

    command = Command(world.chain, outbox, signer)
    ids = command.submit(world.lots(3))
    command.drain(timeout_s=10)
    verify_final(outbox, ids)
