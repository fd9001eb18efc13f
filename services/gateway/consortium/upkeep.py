"""The thread of an operator's gateway that completes what records of the operator began."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from millmark.ledger.chain import Chain
from millmark.ledger.errors import MillmarkError, WrongContractError
from millmark.ledger.store import Store
from millmark.services.directory.document import DirectoryError, SignedDirectory
from millmark.services.directory.following import fetch_operators, published_digest, take_directory
from millmark.services.directory.repository import DirectoryRepository, DirectoryState
from millmark.services.home.admissions import keep_numbers
from millmark.services.serving.loop import Loop

_LOOK_S, _RETRY_S = 1.0, 5.0


class Upkeep:
    """Notes the numbers of companies that the ledger admitted, and puts the directory that was signed here in force
    once its digest is published. `millmark participants admit` and `directory publish` do the same when they
    have waited."""

    def __init__(self, store: Store, connect: Callable[[], Chain], logger: FilteringBoundLogger) -> None:
        self._store, self._connect, self._logger = store, connect, logger
        self._refused: bytes | None = None
        """Digest of the directory that is not tried again."""
        failed = "the directory was not put in force"
        self.loop = Loop("millmark-operator", self._round, logger, failed=failed, retry_s=_RETRY_S)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()

    def _round(self) -> float:
        self.step()
        return _LOOK_S

    def step(self) -> bool:
        """Returns whether anything changed. Raises ChainError."""
        with self._store.transaction() as connection:
            noted = keep_numbers(connection)
        with self._store.reading() as connection:
            issued = DirectoryRepository(connection).signed(DirectoryState.ISSUED)
            is_published = issued is not None and published_digest(connection) == issued.digest
        if issued is None or not is_published or issued.digest == self._refused:
            return bool(noted)
        return self._take(issued) or bool(noted)

    def _take(self, issued: SignedDirectory) -> bool:
        """Puts the directory in force. One that is refused would be refused each time: it is forgotten, so that the
        next publication signs another one."""
        chain = self._connect()
        try:
            operators = fetch_operators(chain)
            with self._store.transaction() as connection:
                taken = take_directory(connection, issued, operators)
        except WrongContractError as error:  # who may sign is not known; it is, to another version
            self._refused = issued.digest
            self._tell(error)
            return False
        except DirectoryError as error:
            with self._store.transaction() as connection:
                DirectoryRepository(connection).drop_issued(issued.digest)
            self._tell(error)
            return False
        self._logger.info("directory in force", companies=len(issued.directory.entries))
        return taken

    def _tell(self, error: MillmarkError) -> None:
        self._logger.error("the published directory cannot be put in force", cause=error.cause, hint=error.hint)
