"""Who may submit: one process a key, and after it the next."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from millmark.ledger.errors import LeaseHeldError
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import LeaseRow
from millmark.ledger.submit.submitter import Lease, Submitter
from tests.support.ledger_world import LedgerWorld

KEY = b"\x01" * 20
FOREIGN = "other-host/1/1"


def row(outbox: Outbox) -> LeaseRow:
    found = outbox.lease(KEY)
    assert found is not None
    return found


def test_the_first_takes_it_and_keeps_its_number(outbox: Outbox) -> None:
    lease = Lease(outbox, KEY, lease_s=0)
    fences = {lease.hold().fence for _ in range(3)}
    assert fences == {1}
    assert row(outbox).beat == 2, "each time renewed, for it lasts no time"


def test_a_lease_that_lasts_is_not_written_with_every_step(outbox: Outbox) -> None:
    lease = Lease(outbox, KEY, lease_s=60)
    for _ in range(5):
        lease.hold()
    assert row(outbox).beat == 0


def test_a_lease_is_renewed_three_times_while_it_lasts(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    lease = Lease(outbox, KEY, lease_s=15)
    lease.hold()
    for elapsed_s, beat in ((4.9, 0), (0.1, 1), (4.9, 1), (0.1, 2)):
        clock[0] += elapsed_s
        lease.hold()
        assert row(outbox).beat == beat


def test_submitters_of_one_process_take_turns(outbox: Outbox) -> None:
    first, second = Lease(outbox, KEY, lease_s=0), Lease(outbox, KEY, lease_s=0)
    assert [first.hold().fence, second.hold().fence] == [1, 2]
    assert first.hold().fence == 3


def test_a_living_holder_keeps_others_out(outbox: Outbox) -> None:
    outbox.take_lease(KEY, None, FOREIGN, 1)
    lease = Lease(outbox, KEY, lease_s=60)
    for _ in range(3):
        with pytest.raises(LeaseHeldError, match="other-host/1/1"):
            lease.hold()


def test_a_holder_that_stopped_renewing_is_followed(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    outbox.take_lease(KEY, None, FOREIGN, 4)
    lease = Lease(outbox, KEY, lease_s=15)
    for _ in range(3):
        with pytest.raises(LeaseHeldError):
            lease.hold()
        clock[0] += 10
        outbox.take_lease(KEY, row(outbox), FOREIGN, 4)  # it lives
    with pytest.raises(LeaseHeldError):
        lease.hold()
    clock[0] += 14.9
    with pytest.raises(LeaseHeldError):
        lease.hold()
    clock[0] += 0.1
    assert lease.hold().fence == 5


def test_a_wall_clock_that_jumps_changes_nothing(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.take_lease(KEY, None, FOREIGN, 1)
    lease = Lease(outbox, KEY, lease_s=15)
    for jump in (0.0, 1e9, -1e9):
        monkeypatch.setattr("time.time", lambda jump=jump: jump)
        with pytest.raises(LeaseHeldError):
            lease.hold()


@pytest.mark.parametrize(
    "holder",
    [f"{socket.gethostname()}/999999999/1", f"{socket.gethostname()}/{os.getpid()}/1"],
    ids=["no such process", "another start of this one"],
)
def test_a_process_that_ended_is_followed_at_once(outbox: Outbox, holder: str) -> None:
    """Its number may have gone to another process since."""
    outbox.take_lease(KEY, None, holder, 1)
    assert Lease(outbox, KEY, lease_s=60).hold().fence == 2


def test_a_process_that_is_asleep_is_no_process_that_ended(outbox: Outbox) -> None:
    parent = os.getppid()
    began = Path(f"/proc/{parent}/stat").read_text().rpartition(") ")[2].split()[19]
    outbox.take_lease(KEY, None, f"{socket.gethostname()}/{parent}/{began}", 1)
    with pytest.raises(LeaseHeldError):
        Lease(outbox, KEY, lease_s=60).hold()


def test_who_has_nothing_to_submit_does_not_renew_it(world: LedgerWorld, outbox: Outbox) -> None:
    """A renewal is a commit, and each commit wakes all who wait for one."""
    signer = world.admit(outbox)
    found = Submitter(world.chain, outbox, signer, lease=Lease(outbox, signer.address, lease_s=0))
    found.step()
    before = outbox.lease(signer.address)
    for _ in range(3):
        assert found.step()
    assert outbox.lease(signer.address) == before
    found.submit(world.lots(1))
    found.step()
    after = outbox.lease(signer.address)
    assert before is not None
    assert after is not None
    assert after.beat > before.beat
