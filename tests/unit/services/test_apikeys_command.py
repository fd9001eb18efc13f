"""A new API key waits until the index has its participant, whoever indexes it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from millmark.ledger.errors import StoreBusyError
from millmark.ledger.index import Follower
from millmark.ledger.store import Registry
from millmark.services.commands.context import Context
from millmark.services.commands.people import _await_participant
from tests.support.fake_ledger import FakeLedger
from tests.support.stores import new_store


def test_a_gateway_that_indexes_beside_the_command_is_waited_for(tmp_path: Path) -> None:
    fake, asked = FakeLedger(), [0][:0]
    fake.admit(1)
    fake.chain.mine()
    with new_store(tmp_path) as store:

        def catch_up() -> StoreBusyError | None:
            asked.append(1)
            if len(asked) < 3:
                return StoreBusyError("another process is indexing the same blocks")
            Follower(fake.chain, store).follow()
            return None

        opened = SimpleNamespace(settings=SimpleNamespace(chain_url="http://node"), store=store, catch_up=catch_up)
        _await_participant(cast(Context, opened), 1)
        with store.reading() as connection:
            assert Registry(connection).participant(1) is not None
