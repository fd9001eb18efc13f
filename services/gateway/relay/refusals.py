"""Decides when a refusal by the contracts may be told to a client of the relay, whose record then fails for good.

A node that is behind refuses what the ledger would take. Where blocks come by themselves, a refusal therefore counts
only when it is repeated on a later head, and both heads are at or above every block that the outbox and the index know.
In a reorganisation, what the call needs may be in no block for a while, so as many blocks have to be on top of the
first head as make it final. Until then the client is told to ask again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import Chain
from millmark.ledger.errors import ContractRefusedError, NodeBehindError
from millmark.ledger.store.outbox import Outbox

T = TypeVar("T")
_MAX_CALLS = 10_000
_MAX_BLOCKS = 100
"""Between the two heads. A refusal from long ago is not of the same circumstances."""
_HINT = "nothing was lost; try again"


class RepeatedRefusals:
    """Thread-safe."""

    def __init__(self, chain: Chain, outbox: Outbox) -> None:
        self._chain = chain
        self._outbox = outbox
        self._lock = threading.Lock()
        self._first: OrderedDict[bytes, int] = OrderedDict()
        """The head after the first refusal of a call, by the call's hash."""

    def ask(self, call: bytes, question: Callable[[], T]) -> T:
        """Returns the answer to a question about `call` that the contracts may refuse. Raises ContractRefusedError
        once that is final, and NodeBehindError until then or while the node is behind."""
        if not self._chain.profile.timed_blocks:
            return question()
        head = self._verify_head()
        name = keccak256(call)
        try:
            answer = question()
        except ContractRefusedError:
            self._verify_repeated(name, head)
            raise
        with self._lock:
            self._first.pop(name, None)
        return answer

    def _verify_head(self) -> int:
        self._chain.verify_served()
        head, seen = self._chain.head_number(), self._outbox.seen_block()
        if head < seen:
            raise NodeBehindError(f"the node is behind: its latest block is {head}, block {seen} is known", hint=_HINT)
        return head

    def _verify_repeated(self, name: bytes, head: int) -> None:
        """`head` is the one before this refusal, the kept one that after the first: a block in between must not make
        one head count as two."""
        depth = self._chain.finality_depth
        with self._lock:
            first = self._first.get(name)
            if first is not None and first + depth < head <= first + depth + _MAX_BLOCKS:
                return
            if first is None or head > first + depth:
                self._first[name] = self._chain.head_number()
                self._first.move_to_end(name)
            first_counting = self._first[name] + depth + 1
            while len(self._first) > _MAX_CALLS:
                self._first.popitem(last=False)
        raise NodeBehindError(
            f"the contracts refuse the call as of block {head}; that counts once block {first_counting} repeats it",
            hint=_HINT,
        )
