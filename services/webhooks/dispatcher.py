"""The thread that tells receivers: one delivery at a time for each subscription, many subscriptions side by side.

    1 the next records are read behind the subscription's cursor
    2 one is sent
    3 its receiver has taken it: the cursor goes on, on disk, before the next is sent

A crash between 2 and 3 sends it once more, under the same id. A delivery that does not go through is retried after a
while (`DeliveryPolicy.retry_waits_s`), and stops its own subscription alone; after the last retry the subscription is
parked where it is, and goes on from there when somebody resumes it. So nothing is left out, and nothing overtakes.

Several gateways on one database share the work: a subscription is held by one process at a time, which renews its hold
with each delivery.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from structlog.typing import FilteringBoundLogger

from ledger.errors import MillmarkError
from ledger.store import Feed, Position, Rows, Store
from ledger.store.process_identity import describe_process, is_gone
from ledger.store.rows import ParticipantRow
from services.access.repository import AccessRepository
from services.serving.failures import FailureLog
from services.serving.loop import Loop
from services.webhooks.delivery import Answer, Mode, build_request
from services.webhooks.feed import Filter, Notice, Notices
from services.webhooks.http_post import look_up, post
from services.webhooks.repository import WebhookRepository
from services.webhooks.signatures import sign
from services.webhooks.subscriptions import State, keys_of
from services.webhooks.tables import WebhookRow
from services.webhooks.targets import Resolve, parse_target

__all__ = ["DeliveryPolicy", "Dispatcher"]

R = TypeVar("R")

_AT_ONCE: Final = 100
"""Records looked at in one reading."""
_MOST_SIDE_BY_SIDE: Final = 64
_DATABASE_THREADS: Final = 4
_RETRY_S: Final = 2.0
_MOST_STOP_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How receivers are treated."""

    loopback: bool = False
    """Whether a receiver may be on this machine."""
    timeout_s: float = 10.0
    """From look-up to the head of the answer."""
    retry_waits_s: tuple[float, ...] = (1, 5, 30, 120, 600, 1800, 3600, 3 * 3600)
    """Before each retry of a delivery that did not go through; after the last retry, the subscription is parked."""
    interval_s: float = 0.5
    """How often it is looked for new records."""
    resolve: Resolve = look_up
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Dispatcher:
    """Runs until it is stopped, whatever a receiver or the database does."""

    def __init__(
        self,
        store: Store,
        delivery_policy: DeliveryPolicy,
        logger: FilteringBoundLogger,
        clock_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._store, self._policy, self._logger, self._clock_ms = store, delivery_policy, logger, clock_ms
        self._notices = Notices(store)
        self._holder = describe_process(os.getpid())
        self._not_read, self._not_served = (
            FailureLog(logger, "webhooks not read"),
            FailureLog(logger, "webhook not served"),
        )
        self._loop = Loop(
            "millmark-webhooks", self._run, logger, failed="webhooks failed", retry_s=_RETRY_S, stop_s=_MOST_STOP_S
        )

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """Returns when what is under way is over, at the latest after the time that a delivery may take."""
        self._loop.stop()

    def _run(self) -> float:
        """One step is all that is served until the thread is to stop."""
        with ThreadPoolExecutor(_DATABASE_THREADS, "millmark-webhooks-database") as self._database:
            asyncio.run(self._serve())
        return 0.0

    async def _in_database(self, work: Callable[..., R], *arguments: object) -> R:
        """Database work, in threads of its own: the loop's are for looking up names, which may hang."""
        return await asyncio.get_running_loop().run_in_executor(self._database, work, *arguments)

    async def _serve(self) -> None:
        """One task for each subscription that has something to do; a slow receiver keeps its own task busy alone."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_MOST_SIDE_BY_SIDE, "millmark-look-up"))
        busy: dict[str, asyncio.Task[None]] = {}
        while not self._loop.is_stopping:
            busy = {id_: task for id_, task in busy.items() if not task.done()}
            for row in await self._due():
                if row.id not in busy and len(busy) < _MOST_SIDE_BY_SIDE:
                    busy[row.id] = asyncio.create_task(self._tend(row.id))
            await asyncio.sleep(self._policy.interval_s)
        for task in busy.values():
            task.cancel()
        await asyncio.gather(*busy.values(), return_exceptions=True)

    async def _due(self) -> list[WebhookRow]:
        try:
            found = await self._in_database(self._read_due)
        except Exception as error:  # what is under way goes on
            self._not_read.note(error)
            return []
        self._not_read.clear()
        return found

    def _read_due(self) -> list[WebhookRow]:
        with self._store.reading() as connection:
            rows, end = WebhookRepository(connection).due(self._clock_ms()), Feed(connection).end()
        behind = [row for row in rows if row.registry_sequence < end.registry or row.ledger_sequence < end.ledger]
        return [row for row in behind if self._may_hold(row)]

    def _may_hold(self, row: WebhookRow) -> bool:
        free = not row.holder or row.held_until_ms <= self._clock_ms()
        return free or row.holder == self._holder or is_gone(row.holder)

    async def _tend(self, id_: str) -> None:
        """Tells one receiver until there is nothing left, or a delivery did not go through."""
        try:
            while not self._loop.is_stopping:
                found = await self._in_database(self._next, id_)
                if found is None:
                    return
                row, notices, end = found
                for notice in notices:
                    answer = await self._send(row, notice)
                    if not await self._in_database(self._settle, row, notice, answer):
                        return
                if not await self._in_database(self._advance, row, end):
                    return
        except Exception as error:  # as above
            self._not_served.note(error)

    def _next(self, id_: str) -> tuple[WebhookRow, list[Notice], Position] | None:
        """What is to be sent now, under a hold of ours; None when there is nothing, or it is somebody else's."""
        row = self._hold(id_)
        if row is None:
            return None
        position = Position(row.registry_sequence, row.ledger_sequence)
        wanted = Filter(frozenset(row.kinds.split()), frozenset(map(bytes.fromhex, row.subjects.split())))
        viewer = None if row.owner else row.participant
        notices, end = self._notices.after(position, _AT_ONCE, viewer, wanted)
        return None if end == position else (row, notices, end)

    def _hold(self, id_: str) -> WebhookRow | None:
        with self._store.transaction() as connection:
            desk = WebhookRepository(connection)
            row = desk.get(id_)
            if row is None or row.state != State.ACTIVE or not self._may_hold(row):
                return None
            participant = Rows(connection).get(ParticipantRow, row.participant)
            if row.participant and participant is None:
                return None  # the index is being read anew
            ended = "its participant is suspended" if participant is not None and participant.suspended else ""
            if ended or (ended := self._key_ended(AccessRepository(connection), row)):
                desk.change(id_, state=State.PARKED.value, reason=ended)
                return None
            desk.change(id_, holder=self._holder, held_until_ms=self._held_until())
            return row

    def _key_ended(self, access: AccessRepository, row: WebhookRow) -> str:
        """Why its API key is none any more; nothing while it is one, or where there is none."""
        if not row.credential:
            return ""
        found = access.credential(row.credential)
        is_over = found is None or found.revoked_at or self._clock_ms() >= found.expires_at * 1000
        return f"API key {row.credential} was revoked, or has expired" if is_over else ""

    def _held_until(self) -> int:
        return self._clock_ms() + int(2000 * self._policy.timeout_s) + 1000

    async def _send(self, row: WebhookRow, notice: Notice) -> Answer:
        now_ms = self._clock_ms()
        headers, body = build_request(notice.event, Mode(row.mode))
        signed = sign(keys_of(row, now_ms), f"{row.id}-{notice.id}", now_ms // 1000, body)
        try:
            target = parse_target(row.url, loopback=self._policy.loopback)
        except MillmarkError as error:
            return Answer(0, error.cause)
        return await post(
            target,
            {**headers, **signed, "user-agent": "millmark"},
            body,
            resolve=self._policy.resolve,
            loopback=self._policy.loopback,
            timeout_s=self._policy.timeout_s,
            tls=self._policy.tls,
        )

    def _settle(self, row: WebhookRow, notice: Notice, answer: Answer) -> bool:
        """Writes down what became of a delivery; whether the next may follow at once."""
        with self._store.transaction() as connection:
            desk = WebhookRepository(connection)
            if answer.is_taken:
                now_ms = self._clock_ms()
                goes_on = self._move(desk, row.id, notice.position, delivered_ms=now_ms, attempts=0, reason="")
                return goes_on and not self._key_ended(AccessRepository(connection), row)
            found = self._held(desk, row.id)
            if found is None:
                return False
            attempts = found.attempts + 1
            waits = self._policy.retry_waits_s
            if answer.is_final or attempts > len(waits):
                desk.change(row.id, state=State.PARKED.value, attempts=attempts, reason=answer.reason)
                self._logger.warning("webhook parked", webhook=row.id, reason=answer.reason)
                return False
            next_ms = self._clock_ms() + int(waits[attempts - 1] * 1000)
            desk.change(row.id, attempts=attempts, reason=answer.reason, next_try_ms=next_ms)
            return False

    def _advance(self, row: WebhookRow, end: Position) -> bool:
        """Past records that were not for this receiver."""
        with self._store.transaction() as connection:
            return self._move(WebhookRepository(connection), row.id, end)

    def _move(self, desk: WebhookRepository, id_: str, position: Position, **values: object) -> bool:
        """Whether to go on: not when the subscription was removed, parked or taken over meanwhile."""
        row = self._held(desk, id_)
        if row is None:
            return False
        place = {"registry_sequence": position.registry, "ledger_sequence": position.ledger}
        desk.change(id_, **place, held_until_ms=self._held_until(), **values)
        return row.state == State.ACTIVE

    def _held(self, desk: WebhookRepository, id_: str) -> WebhookRow | None:
        """The subscription, if it is there and still ours: a process that slept past its hold changes nothing of it."""
        row = desk.get(id_)
        return row if row is not None and row.holder == self._holder else None
