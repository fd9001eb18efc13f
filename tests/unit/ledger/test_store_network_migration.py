"""A database that was made before outboxes knew their ledger is brought up to date, with its records."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from millmark.ledger.errors import WrongChainError
from millmark.ledger.store import open_store
from millmark.ledger.store.database import Store, build_engine
from millmark.ledger.store.outbox import Outbox, OutboxChain
from millmark.ledger.store.schema import LEDGER, read_revisions
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.batches import describe_chain
from tests.support.ledger_world import LedgerWorld, verify_once
from tests.support.schemas import find_differences


class OldOutbox(Outbox):
    def bind(self, chain: OutboxChain) -> None:
        """That version did not."""


def build_old(path: Path) -> Store:
    """A database as version 0001 of the schema made it."""
    store = Store(build_engine(f"sqlite:///{path}"))
    with store.transaction() as connection:
        config = Config(attributes={"connection": connection, "schema": LEDGER})
        config.set_main_option("script_location", "millmark.ledger.store:migrations")
        config.set_main_option("version_locations", "millmark.ledger.store:migrations/versions")
        config.set_main_option("path_separator", "newline")
        command.upgrade(config, "0001")
        assert read_revisions(connection, LEDGER) == ["0001"]
    return store


def test_an_outbox_with_records_goes_on_after_the_migration(world: LedgerWorld, outbox: Outbox, tmp_path: Path) -> None:
    """One record was sent, and one is queued. The outbox is then for the ledger that it goes on with."""
    signer, before = world.admit(outbox), world.count()
    path = tmp_path / "old.db"
    with build_old(path) as old:
        world.line.handlers["eth_sendRawTransaction"] = lambda _: "0x"
        waiting = OldOutbox(old)
        submitter = Submitter(world.chain, waiting, signer, resend_s=0)
        ids = submitter.submit(world.lots(1))
        submitter.step()
        ids += submitter.submit(world.lots(1))
        world.line.handlers.clear()
    with open_store(f"sqlite:///{path}") as store:
        assert find_differences(store, LEDGER) == []
        Submitter(world.chain, Outbox(store), signer, resend_s=0).drain()
        verify_once(world, store, signer, ids, before)
        other = describe_chain(world.chain.deployment)
        with pytest.raises(WrongChainError):
            Outbox(store).bind(type(other)(1, other.ledger, other.ledger_id, b"\x99" * 32, 0, b"\x99" * 32))
