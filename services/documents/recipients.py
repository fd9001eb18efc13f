"""The keys that participants publish to have documents wrapped for them."""

from __future__ import annotations

from ledger.errors import NotFoundError
from ledger.store import Registry, Store
from services.documents.encryption import verify_public_key
from services.documents.errors import RecipientKeyError
from services.documents.recipient_keys import KeyStatement, recover_statement_signer
from services.documents.repository import DocumentRepository
from services.documents.tables import RecipientKeyRow
from services.documents.views import RecipientKey

__all__ = ["Recipients", "need_recipient_key"]

_MOST_AHEAD_S = 300
_MEND = "make and sign one with `millmark documents keys`, and PUT it to /v1/recipient-key"


class Recipients:
    """Of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(
        self, participant: int, public_key: bytes, issued_at: int, signature: bytes, now_s: int
    ) -> RecipientKey:
        """Takes the place of the participant's former key.

        Raises RecipientKeyError for a key of low order, a statement that no active key of the participant signed, or
        one that is not later than what is there: an old one must not come back.
        """
        verify_public_key(public_key)
        if issued_at > now_s + _MOST_AHEAD_S:
            raise RecipientKeyError("the statement is of the future", hint="set the clock, and sign again")
        row = RecipientKeyRow(participant, public_key, issued_at, signature)
        with self._store.transaction() as connection:
            documents, registry = DocumentRepository(connection), Registry(connection)
            before = documents.recipient_key(participant)
            shown = _show(registry, row)
            if before is not None and before.issued_at >= issued_at and before != row:
                raise RecipientKeyError("a statement as late as this one is there already", hint="sign it anew")
            documents.put_recipient_key(row)
        return shown

    def get(self, participant: int) -> RecipientKey:
        """Raises NotFoundError when the participant published none, or the key that signed it is revoked since."""
        with self._store.reading() as connection:
            documents, registry = DocumentRepository(connection), Registry(connection)
            try:
                return _show(registry, need_recipient_key(documents, registry, participant))
            except RecipientKeyError as error:
                raise NotFoundError(error.cause, hint=error.hint) from None


def need_recipient_key(documents: DocumentRepository, registry: Registry, participant: int) -> RecipientKeyRow:
    """Raises RecipientKeyError when there is none that counts now."""
    row = documents.recipient_key(participant)
    if row is None:
        raise RecipientKeyError(f"participant {participant} published no key for documents", hint=_MEND)
    _show(registry, row)
    return row


def _show(registry: Registry, row: RecipientKeyRow) -> RecipientKey:
    """Raises RecipientKeyError unless a key that is the participant's now signed it for this ledger."""
    identity = registry.identity()
    if identity is None:
        raise RecipientKeyError("no chain was followed yet", hint="follow the chain first")
    statement = KeyStatement(identity.chain_id, identity.ledger, row.participant, row.public_key, row.issued_at)
    signer = recover_statement_signer(statement, row.signature)
    found = registry.participant_of(signer)
    if found is None or found.number != row.participant:
        raise RecipientKeyError(
            f"no active key of participant {row.participant} signed its key for documents", hint=_MEND
        )
    return RecipientKey(row.participant, row.public_key, row.issued_at, row.signature, signer)
