"""The main job on a network of validators: real pool, gossip and several producers, at one block a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millmark.ledger.keys import write_private
from millmark.ledger.store.outbox import Outbox
from tests.support.figures import Tell
from tests.support.ledger_world import LedgerWorld, deploy_world, submit_one_bad_record
from tests.support.networks import SharedNetwork
from tests.support.stores import new_store
from tests.support.windows import write_windows

pytestmark = pytest.mark.network
ORDERS = 7
_MOST_S = 600.0
"""Far more than it takes: a busy machine is slow, not wrong."""


@pytest.mark.left_out
def test_the_fast_demonstration(network: SharedNetwork, tmp_path: Path, tell: Tell) -> None:
    windows, key = tmp_path / "windows.tsv", tmp_path / "treasury.key"
    write_windows(windows)
    write_private(key, network.treasury.unsafe_secret().hex().encode())
    files = (f"--out={tmp_path / 'home'}", f"--data={windows}", f"--json={tmp_path / 'out.json'}")
    chain = (f"--chain-url={network.url}", f"--engine={network.linked.profile.name}", f"--treasury=file:{key}")
    command = [sys.executable, "-m", "millmark.services.cli", "demo", "--fast", f"--orders={ORDERS}", *files, *chain]
    # The product refuses settings that it does not know, such as that of these tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLMARK_TEST_")}
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_S, check=False, env=environment)
    took_s = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    records = sum(report["records"].values())
    tell(f"network: --fast demonstration, {ORDERS} orders, {records} records, {took_s:.0f} s, {network.describe()}")
    assert report["sequences_equal"] is True
    assert report["delivered"] > 0


@pytest.fixture(scope="module")
def world(network: SharedNetwork) -> LedgerWorld:
    return deploy_world(network.funding, network.linked.profile.name)


def test_a_batch_with_one_bad_record(world: LedgerWorld, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        submit_one_bad_record(world, Outbox(store))
