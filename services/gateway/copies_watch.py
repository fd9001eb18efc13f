"""The thread that looks which companies' gateways have the same page that verifies in a browser, so that passports
offer no copy that is not there.

Once an hour it asks each gateway of the directory for the list of the page's files, and compares it with that of its
own page. Not established: that a gateway serves what its list says, or still does so when somebody opens it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from millmark.ledger.store import Store
from millmark.services.check.build import MANIFEST
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.portal.check_page import CheckPage
from millmark.services.serving.loop import Loop
from millmark.services.serving.partners import UnansweredError, ask_partner

Fetch: TypeAlias = Callable[[str, int], Awaitable[bytes]]
"""The list that a gateway serves, of at most so many bytes. Raises UnansweredError."""
_FIRST_S = 20.0
"""The gateways of a consortium on one machine start side by side: a first look at once would find none."""
_INTERVAL_S = 3600.0
_RETRY_S = 60.0
_TIMEOUT_S = 10.0
_AT_ONCE = 16
_MOST = 500
"""Most gateways asked in a look: 16 at once, each in 10 s, they take 6 minutes at worst."""
_LATE_S = 900.0
_OK = 200


class CopiesWatch:
    """Looks once an hour. `seen` are the gateways that had the page at the last look, as the directory writes them."""

    def __init__(
        self,
        store: Store,
        page: CheckPage,
        owner: int | None,
        logger: FilteringBoundLogger,
        *,
        tls: ssl.SSLContext | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        """`page`: the own one; without it, nobody is asked. `owner`: the own company, which is not asked."""
        self._store, self._page, self._owner, self._logger = store, page, owner, logger
        self._fetch = fetch or partial(_fetch, tls or ssl.create_default_context())
        self.seen: frozenset[str] = frozenset()
        self._is_first = True
        failed = "copies of the check page not seen"
        self.loop = Loop("millmark-copies", self._round, logger, failed=failed, retry_s=_RETRY_S, late_s=_LATE_S)

    def start(self) -> None:
        self._is_first = True
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def look(self) -> None:
        """Asks each gateway once. Raises StoreError before it has asked any."""
        own = self._page.manifest
        found = frozenset[str]() if own is None else asyncio.run(self._ask(self._gateways(), own))
        if found != self.seen and not self.loop.is_stopping:
            self._logger.info("copies of the check page", gateways=len(found))
            self.seen = found

    def _round(self) -> float:
        if self._is_first:
            self._is_first = False
            return _FIRST_S
        self.look()
        return _INTERVAL_S

    def _gateways(self) -> list[str]:
        with self._store.reading() as connection:
            entries = DirectoryRepository(connection).entries()
        return [one.gateway for one in entries if one.gateway and one.participant != self._owner][:_MOST]

    async def _ask(self, gateways: list[str], own: bytes) -> frozenset[str]:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def has_page(gateway: str) -> bool:
            async with turns:
                if self.loop.is_stopping:
                    return False
                try:
                    return await self._fetch(gateway, len(own)) == own
                except UnansweredError:
                    return False  # it may be off; whoever runs this gateway can do nothing about it

        had = await asyncio.gather(*map(has_page, gateways))
        return frozenset(one for one, has in zip(gateways, had, strict=True) if has)


async def _fetch(tls: ssl.SSLContext, gateway: str, max_bytes: int) -> bytes:
    headers = {"Accept-Encoding": "identity"}
    status, content = await ask_partner(
        gateway, "GET", f"/check/{MANIFEST}", tls, timeout_s=_TIMEOUT_S, max_bytes=max_bytes, headers=headers
    )
    if status != _OK:
        raise UnansweredError(f"its gateway answered {status}")
    return content
