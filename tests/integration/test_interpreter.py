"""The embedded chain's own loop beside py-evm's on the contracts: every answer and every block the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.bundle_chapters import build_bundle_world
from tests.support.figures import Tell
from tests.support.stores import new_store
from tests.support.twin_chain import TwinChain

pytestmark = pytest.mark.integration

MONTH_S = 30 * 86_400


def test_a_ledger_with_every_kind_of_record_is_the_same(tmp_path: Path, tell: Tell) -> None:
    """Each request of the story is answered by both: transactions, calls, estimates, receipts, logs and proofs. A
    block's hash covers its state, its receipts and their gas."""
    twin = TwinChain(int(time.time()) - MONTH_S)
    build_bundle_world(new_store(tmp_path), twin)
    assert twin.figures.blocks > 100
    tell(f"embedded chain beside py-evm's own loop: {twin.figures.to_json()}")
