"""What commands take from an index that a gateway keeps up to date beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from millmark.ledger.chain import Chain, Node, write_deployment
from millmark.ledger.errors import StoreBusyError
from millmark.ledger.index import Follower
from millmark.ledger.records import Contract
from millmark.ledger.store import Feed, Position, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_writer import next_nonce
from millmark.ledger.submit import adopt_records
from millmark.services.commands import chain as chain_commands
from millmark.services.commands.context import Context
from millmark.services.settings import Settings
from tests.support.command_line import Runner
from tests.support.company_site import Site, open_site
from tests.support.stores import copy_database, new_store


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from open_site(tmp_path)


class Late(Chain):
    """A block came after the follower asked for the last final one."""

    def final_number(self) -> int:
        return super().final_number() - 1


class Beside(Context):
    """A command at a given chain, without HTTP."""

    def node(self) -> Node:
        return self.chain_at_hand().node


def beside(site: Site, home: Path, chain: Chain) -> Beside:
    file = home / "deployment.json"
    write_deployment(file, site.world.chain.deployment)
    return Beside(Settings(home=home, chain_url="http://localhost", deployment=file), site.store, _chain=chain)


def record(site: Site, number: int) -> None:
    """A lot is received, and is on the ledger."""
    body = {"identifier": f"urn:example:lot-{number}", "quantity": 1, "unit": "H87", "claims": {"a": 1}}
    answer = site.post("/v1/lots/receive", body, f"request-of-a-lot-{number}")
    assert answer.status_code == 202, answer.text
    site.world.submitter(Outbox(site.store), site.signer).drain()


def sequences(store: Store) -> list[int]:
    with store.reading() as connection:
        return [record.sequence for _, record in Feed(connection).after(Position(0, 0), 1000)]


def test_a_block_that_was_indexed_before_it_was_known_to_be_final_is_settled(site: Site, tmp_path: Path) -> None:
    world = site.world
    record(site, 1)
    late = Late(world.chain.node, world.chain.profile, world.chain.deployment)
    Follower(late, site.store).follow()
    before = sequences(site.store)
    assert beside(site, tmp_path, world.chain).catch_up() is None
    assert len(sequences(site.store)) == len(before) + 1


def test_the_status_of_an_index_that_keeps_up_is_equal_while_records_come(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Growing(Chain):
        """A record comes before each answer about their number, and is in no index yet."""

        count = 0

        def sequence(self, contract: Contract) -> int:
            if contract is Contract.LEDGER:
                self.count += 1
                record(site, self.count)
            return super().sequence(contract)

    world = site.world
    opened = beside(site, tmp_path, Growing(world.chain.node, world.chain.profile, world.chain.deployment))
    monkeypatch.setattr(chain_commands, "open_context", lambda *_, **__: nullcontext(opened))
    code, out, err = Runner(tmp_path, monkeypatch, capsys)("status")
    assert (code, err) == (0, "")
    assert "index equals chain" in out


def test_the_status_while_another_process_indexes_says_so(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise StoreBusyError("another process is indexing the same blocks")

    world = site.world
    Follower(world.chain, site.store).follow()
    record(site, 1)
    opened = beside(site, tmp_path, world.chain)
    monkeypatch.setattr(chain_commands, "open_context", lambda *_, **__: nullcontext(opened))
    monkeypatch.setattr(Follower, "follow", refuse)
    code, out, err = Runner(tmp_path, monkeypatch, capsys)("status")
    assert (code, err) == (0, "")
    assert "another process is indexing: the index is behind the chain, and was not compared" in out


def test_the_status_says_that_nothing_is_recorded_with_the_whole_remedy(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database is a backup from before the latest record."""
    record(site, 1)
    key = f"0x{site.signer.address.hex()}"
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        record(site, 2)
        opened = beside(site, tmp_path, site.world.chain)
        opened.store = backup
        monkeypatch.setattr(chain_commands, "open_context", lambda *_, **__: nullcontext(opened))
        run = Runner(tmp_path, monkeypatch, capsys)
        with backup.reading() as connection:
            before = next_nonce(connection, site.signer.address)
        code, out, _ = run("status")
        assert (code, "waits for its turn" in out) == (1, False)
        assert f"nothing is recorded: the outbox is older than the ledger: key {key}" in out
        assert f"`millmark outbox adopt {key}`" in out
        code, out, _ = run("status", "--json")
        assert (code, len(json.loads(out)["stopped"])) == (1, 1)
        with backup.reading() as connection:
            assert next_nonce(connection, site.signer.address) == before, "looking decides nothing"
        adopt_records(site.world.chain, backup, site.signer.address)
        assert run("status")[0] == 0


def test_the_status_says_that_the_ledger_was_set_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(site, 1)
    opened = beside(site, tmp_path, site.world.chain)
    monkeypatch.setattr(chain_commands, "open_context", lambda *_, **__: nullcontext(opened))
    monkeypatch.setattr("millmark.ledger.submit.standing.is_set_back", lambda *_: True)
    code, out, _ = Runner(tmp_path, monkeypatch, capsys)("status")
    assert code == 1
    assert f"`millmark outbox reopen 0x{site.signer.address.hex()}`" in out
