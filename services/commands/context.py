"""The context that commands run in: settings, the open store, the chain if one is configured, a signer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from millmark import ledger  # whose names are imported on first use: most commands only read
from millmark.ledger import index
from millmark.ledger.chain import HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.errors import ChainError, ChainUnreachableError, SettingsError, StoreBusyError, SubmitError
from millmark.ledger.store import Feed, Store
from millmark.services.audit.entries import list_files
from millmark.services.output import warn
from millmark.services.settings import Settings, read_settings
from millmark.services.store import open_store, sqlite_path

if TYPE_CHECKING:
    from millmark.ledger.chain import Chain
    from millmark.ledger.index import IndexCheck
    from millmark.ledger.names import NameKey
    from millmark.ledger.records import Record
    from millmark.ledger.signatures import Signer
    from millmark.ledger.store.outbox_records import QueuedRecord

_COMPARING_S = 60.0
"""How long a command waits until its outbox is compared with the ledger."""


@dataclass(slots=True)
class Context:
    """The settings and the open database of one command."""

    settings: Settings
    store: Store
    _unlocked: dict[tuple[str, Path | None], Signer] = field(default_factory=dict)
    """Signers by URI and passphrase file: opening a keystore takes a second, and perhaps a person."""

    _chain: Chain | None = None
    name_keys: list[NameKey] | None = None
    """The company's name keys, once they are opened."""

    def unlock(self, uri: str, passphrase_file: Path | None) -> Signer:
        """Opens a signer as the function `unlock` does, with these settings; once for each."""
        found = self._unlocked.get((uri, passphrase_file))
        if found is None:
            found = self._unlocked[uri, passphrase_file] = unlock(self.settings, uri, passphrase_file)
        return found

    def unlock_operator(self, uri: str | None, passphrase_file: Path | None) -> Signer:
        """Opens the key that owns the registry: the one given, or that of the settings. Raises SettingsError."""
        if uri is not None:
            return self.unlock(uri, passphrase_file)
        if self.settings.operator_signer_uri is None:
            raise SettingsError(
                "no key of the operator is named", hint="give --signer, or set operator_signer in millmark.toml"
            )
        kept = self.settings.from_home(self.settings.operator_passphrase_file)
        return self.unlock(self.settings.operator_signer_uri, passphrase_file or kept)

    def unlock_company(self) -> Signer:
        """Opens the key with which the company records. Raises SettingsError if the settings name none."""
        if self.settings.gateway_signer_uri is None:
            raise SettingsError("no key of the company is named", hint="set gateway_signer in millmark.toml")
        kept = self.settings.from_home(self.settings.gateway_passphrase_file)
        return self.unlock(self.settings.gateway_signer_uri, kept)

    def node(self) -> Node:
        """A JSON-RPC client of the configured node. Raises SettingsError when no chain is configured."""
        if self.settings.chain_url is None:
            raise SettingsError("no chain is configured", hint="set MILLMARK_CHAIN_URL, or chain_url in millmark.toml")
        return Node(HttpTransport(self.settings.chain_url))

    def chain(self) -> Chain:
        """The deployed contracts, after their code was checked. Raises SettingsError, ChainError or a subclass."""
        profile = find_profile(self.settings.engine)
        return ledger.Chain(self.node(), profile, read_deployment(self.settings.deployment_path))

    def late_chain(self) -> Chain:
        """As `chain`, but if the node does not answer now, it connects when it is needed: for programs that stay."""
        from millmark.ledger.chain.chain import connect_or_wait  # noqa: PLC0415 - for programs alone

        profile = find_profile(self.settings.engine)
        return connect_or_wait(self.node(), profile, read_deployment(self.settings.deployment_path))

    def chain_at_hand(self) -> Chain:
        """The chain of this command's own thread: connecting asks the node two dozen things, so it is done once."""
        if self._chain is None:
            self._chain = self.chain()
        return self._chain

    def catch_up(self) -> ChainUnreachableError | StoreBusyError | None:
        """Brings the index up to the chain's final block.

        Without a configured chain the index stays as it is. When the chain does not answer, or another process is
        indexing and far from done, the error is returned, not raised: a command can still answer from the index, which
        names the block that it is current to.
        """
        if self.settings.chain_url is None:
            return None
        try:
            if not self._is_at_head():
                ledger.Follower(self.chain_at_hand(), self.store).follow()
        except (ChainUnreachableError, StoreBusyError) as error:
            return error
        return None

    def _is_at_head(self) -> bool:
        """Whether the index ends with the node's latest block, all of it final, as where a gateway keeps it up to date.

        A block's hash covers all blocks before it, so there is nothing to index or to undo then. This is one question
        to the node, where following asks two dozen. A block that came while the gateway looked is indexed before it is
        known to be final; until then its records are not in the feed of final records.
        """
        known, deployed = index.fetch_status(self.store), read_deployment(self.settings.deployment_path)
        if known is None or (known.registry, known.ledger) != (deployed.registry, deployed.ledger):
            return False
        with self.store.reading() as connection:
            if Feed(connection).final_number() != known.block_number:
                return False
        head = self.node().header()
        return (head.number, head.hash) == (known.block_number, known.block_hash)

    def compare_index(self) -> IndexCheck | None:
        """Compares records, heads and digest with the chain. None if nothing is indexed; None with a warning if the
        node no longer has the state of the index's block."""
        try:
            return index.check_index(self.store, self.chain_at_hand())
        except ChainError as error:
            warn(f"millmark: the index was not compared with the chain: {error}")
            return None

    def warn_of_differences(self) -> None:
        """Prints a warning if the index differs from the chain.

        Commands that make a checkpoint call this and continue: the checkpoint comes from the node, not from the index.
        """
        check = self.compare_index()
        if check is not None and check.differences:
            warn(
                f"millmark: the index differs from the chain at block {check.block_number}: {check.differences} "
                "differences; see `millmark status`, then build it again with `millmark rebuild`"
            )

    def record(self, signer: Signer, records: Sequence[Record], names: Sequence[str] = ()) -> list[QueuedRecord]:
        """Submits the records with the signer's key, waits until all are final, and returns them in the same order.

        `names` are idempotency keys, one for each record, of records that somebody else may be about to make. Raises
        DuplicateRecordError if another record was queued under one of the names, and queues none then; OutboxOlderError
        if the database is older than the ledger, and SubmitError with the contract's own error if it refused one of
        them. Raises ChainError if the chain could not be reached or accepted nothing; the records then stay queued,
        unless it could not be reached before that.
        """
        from millmark.ledger.store.outbox_records import OutboxState  # noqa: PLC0415 - most commands only read

        chain, outbox = self.chain_at_hand(), ledger.Outbox(self.store)
        chain.fund(signer.address)
        self._verify_outbox(chain, signer.address)
        submitter = ledger.Submitter(chain, outbox, signer)
        # Random ones otherwise: a command that is called again is meant to record again.
        keys = names or [str(uuid.uuid4()) for _ in records]
        ids = submitter.submit(list(zip(keys, records, strict=True)))
        # From here on the records are durable: a failure below must not suggest that nothing was queued.
        try:
            submitter.drain()
        except ChainError:
            warn("millmark: the records stay queued and are sent by the next command that uses this key")
            raise
        results = [outbox.record(number) for number in ids]
        for result in results:
            if result.state is not OutboxState.FINAL:
                raise SubmitError(result.error or f"{result.kind} is {result.state}", hint="nothing was recorded")
        return results

    def settle(self, signer: Signer) -> None:
        """Sends what earlier commands queued for a key and did not get on the ledger, and brings the index up to date.

        After it, what the index says can decide what is still to be recorded. Raises ChainError and SubmitError.
        """
        outbox = ledger.Outbox(self.store)
        if outbox.queued(signer.address, 1) or outbox.open_transactions(signer.address):
            chain = self.chain_at_hand()
            self._verify_outbox(chain, signer.address)
            ledger.Submitter(chain, outbox, signer).drain()
        self.follow()

    def follow(self) -> None:
        """Like `catch_up`, but raises the error that keeps the index behind."""
        behind = self.catch_up()
        if behind is not None:
            raise behind

    def _verify_outbox(self, chain: Chain, key: bytes) -> None:
        """Verifies that the outbox is not older than the ledger. Raises OutboxOlderError, ChainError."""
        from millmark.ledger.submit import verify_outbox  # noqa: PLC0415 - most commands only read

        deadline = time.monotonic() + _COMPARING_S
        # A block that comes between catching up and comparing leaves it undecided.
        while not verify_outbox(chain, self.store, key):
            if time.monotonic() > deadline:
                raise ChainUnreachableError(
                    f"the outbox could not be compared with the ledger within {_COMPARING_S:.0f} s",
                    hint="nothing was queued; check with `millmark status` that the index keeps up, then try again",
                )
            self.follow()


@contextmanager
def open_context(home: Path, *, looking: bool = False) -> Iterator[Context]:
    """Reads the settings and opens the database of `home`; closes the database on exit. Raises SettingsError.

    `looking`: leaves a folder that is not a home as it is; an empty database in memory stands in for that of a home.
    """
    settings = read_settings(home)
    if not home.is_dir():
        raise SettingsError(
            f"{home} is not a folder",
            hint="make it with `millmark init` or `millmark join`, or name another with --home",
        )
    _verify_database(settings)
    stand_in = looking and not settings.has_database
    place = ("sqlite://", None) if stand_in else (settings.database_url, settings.evidence_path)
    with open_store(*place) as store:
        yield Context(settings, store)


def _verify_database(settings: Settings) -> None:
    """Refuses to make a new database in a home that had one: a disk that was not mounted would otherwise pass for a
    home without names, claims and records. Raises SettingsError."""
    path, audit = sqlite_path(settings.database_url), settings.audit_path
    if path is None or path.exists() or not audit.is_dir():
        return
    if list_files(audit):
        raise SettingsError(
            f"{path} is missing, but there is an audit log of it in {audit}",
            hint="put it back, or restore a backup; to begin anew, without names, claims and records, "
            "move the audit log away as well",
        )


def unlock(settings: Settings, uri: str, passphrase_file: Path | None) -> Signer:
    """Opens the signer that a URI names; prompts for the passphrase or PIN unless a file holds it."""
    return ledger.open_signer(uri, passphrase_file=passphrase_file, prompt=ask, pkcs11_module=settings.pkcs11_module)


def ask(question: str) -> str:
    """Prompts on the terminal, without echo."""
    return getpass(question)
