"""The main job on a network of validators: real pool, gossip and several producers, at one block a second."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ledger.store.outbox import Outbox, OutboxState
from services.lab.demo.run import DemoResult, run_demo
from services.products import Catalogue
from tests.support.figures import Tell
from tests.support.ledger_world import LedgerWorld, deploy_world, verify_final
from tests.support.networks import FundingTransport, SharedNetwork
from tests.support.stores import new_store

pytestmark = pytest.mark.network
ORDERS = 7


def write_windows(path: Path) -> None:
    """Windows that the demonstration's model passes, and silence, which it fails."""
    random = np.random.default_rng(7)
    labels = np.array([-1, 1] * 20)
    hum = np.sin(2 * np.pi * 5 * np.arange(500) / 500)
    values = np.where(labels[:, None] == 1, 0.0, hum) + random.normal(scale=0.001, size=(40, 500))
    np.savetxt(path, np.column_stack([labels, values]), delimiter="\t", fmt=["%d", *["%.6f"] * 500])


def test_the_fast_demonstration(network: SharedNetwork, tmp_path: Path, tell: Tell) -> None:
    windows = tmp_path / "windows.tsv"
    write_windows(windows)
    said: list[str] = []
    began = time.monotonic()
    result: DemoResult = run_demo(
        tmp_path / "home", ORDERS, windows, said.append, Catalogue().find("crankshaft"), network.demo_chain()
    )
    records = sum(result.records.values())
    slowest = ", ".join(
        f"{step} {taken:.0f} s" for step, taken in sorted(result.seconds.items(), key=lambda one: -one[1])[:4]
    )
    tell(
        f"network: the demonstration, {ORDERS} orders, {records} records, took {time.monotonic() - began:.0f} s on "
        f"{network.describe()}; {slowest}"
    )
    assert result.chain_sequences == result.index_sequences
    assert result.delivered > 0
    assert "engine = " in (tmp_path / "home" / "millmark.toml").read_text()


@pytest.fixture(scope="module")
def world(network: SharedNetwork) -> LedgerWorld:
    transport = FundingTransport(network.transport, network.faucet)
    return deploy_world(transport, network.faucet.profile.name)


def test_a_batch_with_one_bad_record(world: LedgerWorld, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        outbox = Outbox(store)
        submitter = world.submitter(outbox, world.admit(outbox), batch_size=20)
        lots = world.lots(19)
        lots.insert(11, ("again", lots[3][1]))
        ids = submitter.submit(lots)
        submitter.drain()
        failed = outbox.record(ids.pop(11))
        assert (failed.state, failed.error_name) == (OutboxState.FAILED, "HistorySubjectTaken")
        verify_final(outbox, ids)
