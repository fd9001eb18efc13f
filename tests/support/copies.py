"""Worlds that are slow to build, built once a process: each test module gets a copy, chain and database and all."""

from __future__ import annotations

import atexit
import copy
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from tests.support.stores import copy_database, new_store

__all__ = ["Template", "copy_chain", "new_engine"]

W = TypeVar("W")


def new_engine(validators: Sequence[Signer] = ()) -> EmbeddedChain:
    """A chain that began a month ago, so that stories can tell of days that passed."""
    return EmbeddedChain(int(time.time()) - 30 * 86_400, validators=validators)


def copy_chain(chain: EmbeddedChain) -> EmbeddedChain:
    """The same blocks, with every state behind them; what is mined on one of both is not on the other."""
    twin = EmbeddedChain()
    old, new = chain._tester.backend, twin._tester.backend
    database = copy.copy(_stored(old.chain))
    database.kv_store = dict(database.kv_store)
    new.chain = type(old.chain)(type(old.chain.chaindb.db)(database))
    return twin


def _stored(chain: Any) -> Any:
    """The dictionary at the bottom of py-evm's layers, all of which write through."""
    return chain.chaindb.db.wrapped_db


class Template(Generic[W]):
    """A world over an embedded chain and a store, built when the first copy is asked for.

    `shared` names what all copies have in common: keys, which refuse to be copied.
    """

    def __init__(self, build: Callable[[Store, EmbeddedChain], W], shared: Callable[[W], Iterable[object]]) -> None:
        self._build = build
        self._shared = shared
        self._built: tuple[W, Store, EmbeddedChain] | None = None

    def copy(self, store: Store) -> tuple[W, EmbeddedChain]:
        """The world, in `store`, which is empty; and the chain that it is on."""
        world, filled, chain = self._built or self._fill()
        copy_database(filled, store)
        twin = copy_chain(chain)
        same = {id(one): one for one in self._shared(world)}
        return copy.deepcopy(world, {id(filled): store, id(chain): twin, **same}), twin

    def _fill(self) -> tuple[W, Store, EmbeddedChain]:
        folder = Path(tempfile.mkdtemp(prefix="millmark-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        store, chain = new_store(folder), new_engine()
        atexit.register(store.close)
        self._built = self._build(store, chain), store, chain
        return self._built
