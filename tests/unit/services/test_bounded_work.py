"""Dear work takes turns, and whoever would wait for too many others is told so at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.store import Store
from millmark.services.portal import Proofs
from millmark.services.portal import proofs as proofs_module
from millmark.services.serving.requests import BoundedWork
from tests.support.patience import MAX_S, wait_until
from tests.support.stores import new_store

LOT = bytes(32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        yield store


def test_so_many_have_a_turn_so_many_wait_and_the_next_one_is_refused() -> None:
    turns, going, over = BoundedWork(at_once=2, waiting=1), threading.Semaphore(0), threading.Event()

    def work() -> bool:
        with turns.take() as mine:
            if mine:
                going.release()
                assert over.wait(MAX_S)
            return mine

    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(work) for _ in range(2)]
        assert all(going.acquire(timeout=MAX_S) for _ in first)
        others = [pool.submit(work) for _ in range(2)]
        wait_until(lambda: any(one.done() for one in others))
        over.set()
        assert [one.result(20) for one in first] == [True, True]
        assert sorted(one.result(20) for one in others) == [False, True]
    with turns.take() as mine:
        assert mine


def test_a_turn_ends_with_a_failure() -> None:
    turns = BoundedWork(at_once=1, waiting=0)
    with pytest.raises(OSError, match="no space"), turns.take():
        raise OSError("no space")
    with turns.take() as mine:
        assert mine


class _Hanging:
    """A node that does not answer, until it is given up."""

    def __init__(self) -> None:
        self.asked, self.given_up = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        self.asked.set()
        assert self.given_up.wait(MAX_S)
        raise ChainUnreachableError(f"the node did not answer {name}", hint="")


def test_a_node_that_hangs_holds_few_threads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs_module, "_MAX_WAITING", 0)
    node = _Hanging()
    monkeypatch.setattr(proofs_module, "build_bundle", lambda _store, chain, *_: chain.header())
    proofs = Proofs(store, cast("Chain", node), None)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(proofs.fetch, LOT, None, 0)
        assert node.asked.wait(MAX_S)
        refused = proofs.fetch(LOT, None, 0)
        node.given_up.set()
        assert isinstance(refused, proofs_module.ProofsBusyError)
        assert isinstance(first.result(20), ChainUnreachableError)
    assert isinstance(proofs.fetch(LOT, None, 0), ChainUnreachableError)
