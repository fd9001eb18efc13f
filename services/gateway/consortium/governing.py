"""What the chain says now of who decides for the consortium."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import cast

from millmark.ledger.chain import Chain
from millmark.ledger.chain.council import Council, Motion, describe_call, find_council
from millmark.ledger.errors import ChainError, NotFoundError, WrongContractError
from millmark.ledger.records import Contract
from millmark.services.directory.document import ConsortiumGround
from millmark.services.portal.consortium import CouncilView, Governance, MotionView

MOST_MOTIONS = 20
_FRESH_S = 5.0
"""How long a view is shown again. It takes some hundred calls to the node."""
_GLANCE_S, _PATIENCE_S, _OLD_S = 30.0, 1.0, 300.0
"""For a page that shows something else in the first place: how long it does not ask again, and waits for the answer;
after how long it would rather show nothing than what may have been over for long."""


class Governing:
    """`connect` connects to the chain, once, at the first request; requests take turns. `seconds` is a monotonic
    clock."""

    def __init__(self, connect: Callable[[], Chain] | None, seconds: Callable[[], float] = time.monotonic) -> None:
        self._connect, self._seconds = connect, seconds
        self._one, self._starting = threading.Lock(), threading.Lock()
        self._chain: Chain | None = None
        self._view: tuple[float, Governance] | None = None
        self._looking: threading.Thread | None = None
        self._looked_s = -_GLANCE_S

    def owner(self) -> bytes | None:
        """Address of the key or contract that owns the registry; None without a chain. Raises ChainError."""
        if self._connect is None:
            return None
        with self._one:
            return _owner_of(self._open())

    def view(self) -> Governance | None:
        """At most a few seconds old; None without a chain. Raises ChainError."""
        if self._connect is None:
            return None
        with self._one:
            if self._view is None or self._seconds() - self._view[0] > _FRESH_S:
                # The time before the calls: a view is as old as the first of them.
                self._view = self._seconds(), _governance_of(self._open())
            return self._view[1]

    def glance(self) -> Governance | None:
        """The latest view, which is made anew beside the caller now and then. None if there is none of the last five
        minutes: the caller waits a second at most, and not again for some time, however long the node takes."""
        if self._connect is None:
            return None
        now_s, known = self._seconds(), self._view
        if known is None or now_s - known[0] > _GLANCE_S:
            self._look(now_s)
            known = self._view
        return None if known is None or self._seconds() - known[0] > _OLD_S else known[1]

    def _look(self, now_s: float) -> None:
        with self._starting:
            idle = self._looking is None or not self._looking.is_alive()
            if not idle or now_s - self._looked_s < _GLANCE_S:
                return
            self._looked_s = now_s
            # A daemon: a node that never answers must not keep the gateway from ending.
            looking = self._looking = threading.Thread(target=self._try, name="millmark-council", daemon=True)
            looking.start()
        looking.join(_PATIENCE_S)

    def _try(self) -> None:
        with suppress(ChainError):
            self.view()

    @contextmanager
    def council(self) -> Iterator[Council]:
        """The council, while nothing else asks the chain; afterwards the view is read again. Raises NotFoundError if
        there is none, ChainError."""
        with self._one:
            try:
                yield find_council(self._open())[0]
            finally:
                self._view, self._looked_s = None, -_GLANCE_S

    def _open(self) -> Chain:
        if self._chain is None:
            if self._connect is None:
                raise NotFoundError(ConsortiumGround.NO_CHAIN.write(), hint="set chain_url")
            self._chain = self._connect()
        return self._chain


def _owner_of(chain: Chain) -> bytes:
    return cast(bytes, chain.read(Contract.REGISTRY, "owner")[0])


def _governance_of(chain: Chain) -> Governance:
    owner = _owner_of(chain)
    try:
        council, owns = find_council(chain)
    except NotFoundError:
        return Governance(owner, None)
    except WrongContractError:
        return Governance(owner, None, foreign=True)
    return Governance(owner, _view(council, owns=owns))


def _view(council: Council, *, owns: bool) -> CouncilView:
    terms = council.terms()
    found = list(islice(council.motions(terms), MOST_MOTIONS + 1))
    shown = tuple(MotionView(one, _called(council, one)) for one in found[:MOST_MOTIONS])
    return CouncilView(council.address, owns, terms, shown, len(found) > len(shown))


def _called(council: Council, motion: Motion) -> str:
    return describe_call(council.chain, council.address, motion.target, motion.data)
