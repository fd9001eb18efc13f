"""The private book: what the chain does not say, known only to who keeps this database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete

from ledger.errors import StoreError
from ledger.store.repository import Rows
from ledger.store.rows import DocumentRow, IdentityRow, ParticipantNameRow
from ledger.store.tables import participant_names


class Book:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def add_identity(self, identity: IdentityRow) -> None:
        """Notes what a subject is called. Raises StoreError when it is noted otherwise already: a subject is the hash
        of its identifier and salt, so one of the two notes is wrong."""
        known = self.identity(identity.subject)
        if known is None:
            self._rows.insert([identity])
        elif known != identity:
            raise StoreError(
                f"subject 0x{identity.subject.hex()} is noted as {known.identifier}",
                mend="check identifier, creator and salt",
            )

    def identity(self, subject: bytes) -> IdentityRow | None:
        return self._rows.get(IdentityRow, subject)

    def identities(self, identifier: str) -> list[IdentityRow]:
        """Every subject of that canonical identifier; several when companies use the same one."""
        return self._rows.find(IdentityRow, identifier=identifier)

    def put_document(self, root: bytes, document: str) -> None:
        """Keeps the document behind a claims root; replaces it when fields were erased from it."""
        self._rows.put(DocumentRow(root, document))

    def document(self, root: bytes) -> str | None:
        found = self._rows.get(DocumentRow, root)
        return None if found is None else found.document

    def set_names(self, names: Mapping[int, str]) -> None:
        """Replaces all participant names by those of the configuration."""
        self._connection.execute(delete(participant_names))
        self._rows.insert([ParticipantNameRow(number, name) for number, name in sorted(names.items())])

    def names(self) -> dict[int, str]:
        return {row.number: row.name for row in self._rows.find(ParticipantNameRow)}
