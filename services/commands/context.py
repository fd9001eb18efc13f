"""What a command works with: settings, the open store, the chain when there is one, a signer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from ledger.chain import Chain, HttpTransport, Node, find_profile, read_deployment
from ledger.errors import ChainError, ChainUnreachableError, SettingsError, SubmitError
from ledger.index import Follower, IndexCheck, check_index
from ledger.keys import Signer, open_signer
from ledger.records import Record
from ledger.store import Store
from ledger.store.outbox import Outbox, OutboxState, QueuedRecord
from ledger.submit import Submitter
from services.output import warn
from services.settings import Settings, read_settings
from services.store import open_store

__all__ = ["Context", "ask", "open_context", "unlock"]


@dataclass(slots=True)
class Context:
    """Settings and open database of one command."""

    settings: Settings
    store: Store

    def unlock(self, uri: str, passphrase_file: Path | None) -> Signer:
        """As the function of that name, with these settings."""
        return unlock(self.settings, uri, passphrase_file)

    def node(self) -> Node:
        """Raises SettingsError when no chain is configured."""
        if self.settings.chain_url is None:
            raise SettingsError("no chain is configured", hint="set MILLMARK_CHAIN_URL, or chain_url in millmark.toml")
        return Node(HttpTransport(self.settings.chain_url))

    def chain(self) -> Chain:
        """The checked contracts. Raises SettingsError, ChainError and their kinds."""
        profile = find_profile(self.settings.engine)
        return Chain(self.node(), profile, read_deployment(self.settings.deployment_path))

    def catch_up(self) -> ChainUnreachableError | None:
        """Brings the index up to the chain's final block. Without a chain, or when it does not answer, the index stays
        as it is: what it says is dated. Gives the reason when it does not answer."""
        if self.settings.chain_url is None:
            return None
        try:
            Follower(self.chain(), self.store).follow()
        except ChainUnreachableError as error:
            return error
        return None

    def compare_index(self) -> IndexCheck | None:
        """Records, heads and digest against the chain; None where nothing is indexed, or the node no longer has the
        state of the index's block, which is warned of."""
        try:
            return check_index(self.store, self.chain())
        except ChainError as error:
            warn(f"millmark: the index was not compared with the chain: {error}")
            return None

    def warn_of_differences(self) -> None:
        """At a checkpoint its maker looks at the chain anyway: one line when the own index says otherwise. The
        checkpoint is the node's word, not the index's, so it is made all the same."""
        check = self.compare_index()
        if check is not None and check.differences:
            warn(
                f"millmark: the index is not what the chain says at block {check.block_number}: {check.differences} "
                "differences; see `millmark status`, then read it anew with `millmark rebuild`"
            )

    def record(self, signer: Signer, records: Sequence[Record]) -> list[QueuedRecord]:
        """Has the signer's participant record all of them; gives what became of each.

        Raises SubmitError with the contract's own error when it refused one, ChainError when the chain did not take
        them; then they stay queued.
        """
        chain, outbox = self.chain(), Outbox(self.store)
        chain.fund(signer.address)
        submitter = Submitter(chain, outbox, signer)
        ids = submitter.submit([(str(uuid.uuid4()), record) for record in records])
        try:
            submitter.drain()
        except ChainError:
            warn("millmark: what was to be recorded stays queued, and goes out with this key's next command")
            raise
        results = [outbox.record(number) for number in ids]
        for result in results:
            if result.state is not OutboxState.FINAL:
                raise SubmitError(result.error or f"{result.kind} is {result.state}", hint="nothing was recorded")
        return results


@contextmanager
def open_context(home: Path) -> Iterator[Context]:
    """Opens settings and database under `home`; closes the database at the end."""
    settings = read_settings(home)
    if not home.is_dir():
        raise SettingsError(f"{home} is no folder", hint="create it, or name another with --home")
    with open_store(settings.database_url) as store:
        yield Context(settings, store)


def unlock(settings: Settings, uri: str, passphrase_file: Path | None) -> Signer:
    """The signer behind a URI; asks for passphrase or PIN when no file holds it."""
    return open_signer(uri, passphrase_file=passphrase_file, prompt=ask, pkcs11_module=settings.pkcs11_module)


def ask(question: str) -> str:
    """The answer of the person at the terminal, which does not show it."""
    return getpass(question)
