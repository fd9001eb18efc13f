"""The thread that fetches the directory again whenever the operator has published another one."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from millmark.ledger.chain import Chain
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.services.directory.client import fetch_directory
from millmark.services.directory.following import fetch_operators, published_digest, take_directory
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.serving.loop import Loop

_LOOK_S = 1.0
_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """Where the directory comes from."""

    url: str
    """The operator's gateway."""
    signer: Signer
    """Signs in there."""
    chain: Chain
    """Not the follower's: threads do not share connections."""
    tls: ssl.SSLContext | None = None
    """By default, the machine's authorities are believed."""


class DirectoryFollower:
    """Compares the digest that the index has with the directory in force, and fetches what differs. Whatever is refused
    changes nothing: the directory in force stays."""

    def __init__(self, store: Store, source: DirectorySource, logger: FilteringBoundLogger) -> None:
        self._store, self._source, self._logger = store, source, logger
        failed = "the directory was not updated"
        self.loop = Loop("millmark-directory", self._round, logger, failed=failed, retry_s=_RETRY_S)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def _round(self) -> float:
        self.step()
        return _LOOK_S

    def step(self) -> bool:
        """Returns whether there is another directory in force than before. Raises DirectoryError,
        DirectoryUnreachableError, ChainError."""
        if not self._is_outdated():
            return False
        source = self._source
        signed = fetch_directory(source.url, source.signer, source.chain.chain_id, tls=source.tls)
        operators = fetch_operators(source.chain)
        with self._store.transaction() as connection:
            is_new = take_directory(connection, signed, operators)
        if is_new:
            self._logger.info("directory updated", companies=len(signed.directory.entries))
        return is_new

    def _is_outdated(self) -> bool:
        with self._store.reading() as connection:
            published, known = published_digest(connection), DirectoryRepository(connection).in_force_digest()
        return published not in (None, known)
