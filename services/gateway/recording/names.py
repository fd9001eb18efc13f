"""Names of the things that the company's records create: derived from its name keys, and never given twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millmark.ledger.canonical import to_hex
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.names import Deployed, NameKey, derive_identity, subjects_of
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.outbox import Outbox, OutboxState
from millmark.ledger.store.rows import MachineRow, NameKeyRow, RecordHistoryRow, StreamRow
from millmark.services.gateway.http.errors import NameTakenError, NoNameKeyError
from millmark.services.gateway.recording.repository import RecordingRepository, describe_subjects

__all__ = ["Namer"]

_TABLES: Mapping[SubjectKind, type[MachineRow] | type[StreamRow] | type[RecordHistoryRow]] = {
    SubjectKind.ORDER: RecordHistoryRow,
    SubjectKind.LOT: RecordHistoryRow,
    SubjectKind.STREAM: StreamRow,
    SubjectKind.MACHINE: MachineRow,
}
_REFUSED = (OutboxState.FAILED, OutboxState.CANCELLED)


class Namer:
    """Derives identities for one company. A second subject for an identifier of its own is refused: no receiver would
    accept a bundle that shows it, since an earlier one exists."""

    def __init__(self, store: Store, ledger: Deployed, keys: Sequence[NameKey]) -> None:
        self._store, self._ledger, self._outbox = store, ledger, Outbox(store)
        self._keys = {key.hash: key for key in keys}

    def name(self, creator: int, kind: SubjectKind, identifier: str) -> Identity:
        """The identity of a new thing of `creator`. Raises NoNameKeyError, NameTakenError and IdentifierError."""
        with self._store.reading() as connection:
            rows, recordings = Rows(connection), RecordingRepository(connection)
            identity = derive_identity(self._ledger, self._registered(rows, creator), kind, creator, identifier)
            subjects = subjects_of(kind, creator, identity.identifier, identity.proofs)
            # Also under a salt that no name key gave, as a record may have that was made elsewhere.
            known = [one for one in Book(connection).identities(identity.identifier) if one.kind is kind]
            subjects = [*subjects, *(one.subject for one in known if one.creator == creator)]
            recorded = next((one for one in subjects if rows.find(_TABLES[kind], subject=one)), None)
            asked = recordings.naming([describe_subjects([one]) for one in subjects])
        what = f"{kind.name.lower()} {identity.identifier}"
        if recorded is not None:
            raise NameTakenError(f"there is a {what} already: {to_hex(recorded)}", hint="use another identifier")
        # Of a record that creates several things, the contract refuses a second one.
        queued = self._outbox.find([row.key for row in asked]).values()
        if any(record.state not in _REFUSED for record in queued):
            raise NameTakenError(f"a record that creates the {what} is queued", hint="see its status in /v1/records")
        return identity

    def derive(self, creator: int, kind: SubjectKind, identifier: str) -> Identity:
        """The identity of a thing of `creator`, whether or not it exists. Raises NoNameKeyError, IdentifierError."""
        with self._store.reading() as connection:
            keys = self._registered(Rows(connection), creator)
        return derive_identity(self._ledger, keys, kind, creator, identifier)

    def _registered(self, rows: Rows, creator: int) -> list[NameKey]:
        """All name keys that the company has registered, oldest first: under each, a receiver wants a proof."""
        hashes = [row.hash for row in sorted(rows.find(NameKeyRow, participant=creator), key=lambda row: row.index)]
        if not hashes:
            raise NoNameKeyError(
                "this company has not registered a name key", hint="register one with `millmark keys name`"
            )
        missing = [digest for digest in hashes if digest not in self._keys]
        if missing:
            raise NoNameKeyError(
                f"the gateway lacks the name key 0x{missing[0].hex()}", hint="ask its operator to set gateway_name_keys"
            )
        # A name from a key that is being replaced could be recorded after the change, and then be worthless.
        early = self._keys.keys() - set(hashes)
        if early:
            raise NoNameKeyError(
                f"the name key 0x{min(early).hex()} is not registered yet",
                hint="register it with `millmark keys name`, and wait until the index has the record",
            )
        return [self._keys[digest] for digest in hashes]
