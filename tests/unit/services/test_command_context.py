"""What commands take from an index that a gateway keeps up to date beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.chain import Chain, Node, write_deployment
from ledger.index import Follower
from ledger.store import Feed, Position, Store
from ledger.store.outbox import Outbox
from services.commands.context import Context
from services.settings import Settings
from tests.support.recording_site import Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from open_site(tmp_path)


class Late(Chain):
    """A block came after the follower asked for the last final one."""

    def final_number(self) -> int:
        return super().final_number() - 1


def sequences(store: Store) -> list[int]:
    with store.reading() as connection:
        return [record.sequence for _, record in Feed(connection).after(Position(0, 0), 1000)]


def test_a_block_that_was_indexed_before_it_was_known_to_be_final_is_settled(site: Site, tmp_path: Path) -> None:
    world, file = site.world, tmp_path / "deployment.json"
    write_deployment(file, world.chain.deployment)
    settings = Settings(home=tmp_path, chain_url="http://localhost", deployment=file)
    body = {"identifier": "urn:example:lot", "quantity": 1, "unit": "H87", "claims": {"a": 1}}
    answer = site.post("/v1/lots/receive", body, "request-of-a-lot-1")
    assert answer.status_code == 202, answer.text
    world.submitter(Outbox(site.store), site.signer).drain()
    late = Late(world.chain.node, world.chain.profile, world.chain.deployment)
    Follower(late, site.store).follow()
    before = sequences(site.store)

    class Beside(Context):
        """A command at the world's own node."""

        def node(self) -> Node:
            return world.chain.node

        def chain(self) -> Chain:
            return world.chain

    assert Beside(settings, site.store).catch_up() is None
    assert len(sequences(site.store)) == len(before) + 1
