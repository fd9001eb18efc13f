"""How long a submitter waits for a chain, and for what."""

from __future__ import annotations

import dataclasses
from itertools import islice, pairwise

import pytest

from ledger.chain import Chain
from ledger.errors import SubmitError
from ledger.store.outbox import Outbox, OutboxState
from ledger.submit import Submitter
from ledger.submit.submitter import _PAUSES_S, _pauses
from tests.support.ledger_world import LedgerWorld, results, verify_final


def test_pauses_get_longer_and_then_stay() -> None:
    found = list(islice(_pauses(), len(_PAUSES_S) + 5))
    assert all(0 < one <= two for one, two in pairwise(found))
    assert found[len(_PAUSES_S) :] == [_PAUSES_S[-1]] * 5


def test_who_awaits_records_has_them_sent_meanwhile(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    profile = dataclasses.replace(world.chain.profile, finality_depth=2)
    submitter = Submitter(Chain(world.chain.node, profile, world.chain.deployment), outbox, signer)
    ids = submitter.submit(world.lots(2))
    submitter.await_mined(ids, timeout_s=10.0)
    assert {record.state for record in results(outbox, ids)} == {OutboxState.MINED}
    hint = "are in no final block after 0 s; check that the chain produces blocks; nothing was lost"
    with pytest.raises(SubmitError, match=hint):
        submitter.await_final(ids, timeout_s=0.0)
    for _ in range(2):
        world.chain.node.wait(1)
    submitter.await_final(ids, timeout_s=10.0)
    verify_final(outbox, ids)
