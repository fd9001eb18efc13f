"""The thread that delivers hand-overs: recipients side by side, and the hand-overs of each one after the other.

    1 add to the queue what the final records of the index demand
    2 seal a hand-over, and keep its text
    3 send it to the recipient's gateway
    4 once the recipient has kept it, drop the text

After a crash between 3 and 4 the same text is sent again, and the recipient knows it by its digest. A gateway that does
not answer delays only what is for it, and is asked again after growing waits (`deliveries.WAITS_S`).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from millmark.ledger.errors import MillmarkError
from millmark.ledger.store import Store
from millmark.services.handover.deliveries import Deliveries, State
from millmark.services.handover.repository import DeliveryRow, HandoverRepository
from millmark.services.handover.sending import TIMEOUT_S, Answer, send
from millmark.services.serving.failures import withhold_addresses
from millmark.services.serving.loop import Loop
from millmark.services.serving.troubles import Trouble

__all__ = ["LATE_S", "HandoverDispatcher"]

LATE_S = 3600.0
"""A hand-over that waits for so long is an alarm."""
_AT_ONCE = 32
_ROUND_S = 120.0
"""After this time in a round, what is left for a slow gateway waits for the next one, so that others get their turn."""
_INTERVAL_S = 1.0
_RETRY_S = 2.0


class HandoverDispatcher:
    """Delivers until stopped, despite failures of recipients, node or database."""

    def __init__(
        self,
        store: Store,
        deliveries: Deliveries,
        logger: FilteringBoundLogger,
        *,
        interval_s: float = _INTERVAL_S,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
        is_fresh: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_fresh` tells whether the index has the latest suspensions; nothing is sent while it has not."""
        self._store, self._deliveries, self._logger = store, deliveries, logger
        self._interval_s, self._timeout_s, self._is_fresh = interval_s, timeout_s, is_fresh
        self._tls = tls or ssl.create_default_context()
        self.loop = Loop(
            "millmark-handovers", self.step, logger, failed="hand-overs failed", retry_s=_RETRY_S, late_s=600.0
        )

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        """Stops deliveries. One that is being sent is sent again after the next start."""
        self.loop.stop()

    def step(self) -> float:
        """One round. Returns the seconds until the next."""
        if not self._is_fresh():
            return self._interval_s
        more = self._deliveries.collect()
        due = self._deliveries.due(_AT_ONCE)
        if due:
            asyncio.run(self._deliver(due))
        return 0.0 if more or len(due) == _AT_ONCE else self._interval_s

    def trouble(self) -> Trouble | None:
        """The alarm while a hand-over waits for long. Raises StoreError."""
        with self._store.reading() as connection:
            waiting = HandoverRepository(connection).waiting()
        age_s = time.time() - waiting.oldest_ms / 1000
        if not waiting.number or age_s < LATE_S:
            return None
        # /ready is public: neither how many there are, nor for whom, nor why.
        cause = f"hand-overs to other companies have not been delivered for {age_s:.0f} s"
        hint = "see `millmark handovers list`; give what a company cannot get over the network as a file"
        return Trouble("handovers", "handovers-waiting", cause, waiting.oldest_ms / 1000, hint)

    async def _deliver(self, due: Sequence[DeliveryRow]) -> None:
        by_recipient: dict[int, list[DeliveryRow]] = defaultdict(list)
        for row in due:
            by_recipient[row.recipient].append(row)
        await asyncio.gather(*(self._deliver_to(rows) for rows in by_recipient.values()))

    async def _deliver_to(self, rows: Sequence[DeliveryRow]) -> None:
        end_s = time.monotonic() + _ROUND_S
        for number, row in enumerate(rows):
            if self.loop.is_stopping or time.monotonic() > end_s:
                return
            answer = await self._attempt(row)
            if answer is not None and answer.is_unreachable:
                # The rest for this gateway would wait as long each, and nothing else would be delivered meanwhile.
                for later in rows[number + 1 :]:
                    self._deliveries.fail(later, answer.reason)
                return

    async def _attempt(self, row: DeliveryRow) -> Answer | None:
        """One attempt; None if nothing was sent."""
        try:
            prepared = self._deliveries.prepare(row)
        except MillmarkError as error:  # of node, book or bundle: the others go on
            self._logger.warning("hand-over not made", record=row.sequence, to=row.recipient, code=error.code)
            self._deliveries.fail(row, withhold_addresses(error.cause))
            return None
        if prepared is None:
            return None
        sealed, gateway = prepared
        answer = await send(gateway, sealed.digest, sealed.text, self._tls, self._timeout_s)
        if answer.is_kept:
            self._deliveries.settle(sealed, State.DELIVERED)
            self._deliveries.keep_receipts(sealed, answer.receipts)
            self._logger.info("handed over", record=row.sequence, to=row.recipient)
        else:
            if row.reason != answer.reason:
                self._logger.warning("hand-over waits", record=row.sequence, to=row.recipient, reason=answer.reason)
            self._deliveries.fail(sealed, answer.reason, anew=answer.is_refused)
        return answer
