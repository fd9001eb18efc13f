"""The published keys of recipients, for which documents are wrapped."""

from __future__ import annotations

from millmark.ledger.errors import NotFoundError
from millmark.ledger.store import Registry, Store
from millmark.services.directory.errors import RecipientKeyError
from millmark.services.directory.recipient_keys import KeyStatement, verify_statement
from millmark.services.documents.encryption import verify_public_key
from millmark.services.documents.repository import DocumentRepository, RecipientKeyRow
from millmark.services.documents.views import RecipientKey

_MAX_AHEAD_S = 300
_HINT = "create and sign a key with `millmark documents keys`, and PUT it to /v1/recipient-key"


class Recipients:
    """Publishes and looks up recipient keys in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(
        self, participant: int, public_key: bytes, issued_at: int, signature: bytes, now_s: int
    ) -> RecipientKey:
        """Replaces the participant's previous key.

        Raises RecipientKeyError for a key of low order, for a statement that no active key of the participant signed,
        and for one that is not later than the published one, so that an old key cannot be restored by a replay.
        """
        verify_public_key(public_key)
        # Only a later statement replaces one, so a time far ahead would lock its participant out until then.
        if issued_at > now_s + _MAX_AHEAD_S:
            raise RecipientKeyError("the statement's time is in the future", hint="check the clock, then sign again")
        row = RecipientKeyRow(participant, public_key, issued_at, signature)
        with self._store.transaction() as connection:
            documents, registry = DocumentRepository(connection), Registry(connection)
            # In the transaction that writes, so that of two concurrent statements the later one wins.
            before = documents.recipient_key(participant)
            shown = _show(registry, row)
            if before is not None and before.issued_at >= issued_at and before != row:
                raise RecipientKeyError(
                    "a statement with the same or a later time is already published", hint="sign a new statement"
                )
            documents.put_recipient_key(row)
        return shown

    def get(self, participant: int) -> RecipientKey:
        """The key that a participant published. Raises NotFoundError if there is none, or if its signer was revoked
        since.
        """
        with self._store.reading() as connection:
            documents, registry = DocumentRepository(connection), Registry(connection)
            try:
                return _show(registry, require_recipient_key(documents, registry, participant))
            except RecipientKeyError as error:
                raise NotFoundError(error.cause, hint=error.hint) from None


def require_recipient_key(documents: DocumentRepository, registry: Registry, participant: int) -> RecipientKeyRow:
    """The participant's key. Raises RecipientKeyError if it has none that is valid now."""
    row = documents.recipient_key(participant)
    if row is None:
        raise RecipientKeyError(f"participant {participant} has not published a recipient key", hint=_HINT)
    _show(registry, row)
    return row


def _show(registry: Registry, row: RecipientKeyRow) -> RecipientKey:
    """Raises RecipientKeyError unless an active key of the participant signed the statement, for this ledger."""
    signer = verify_statement(registry, row.participant, KeyStatement(row.public_key, row.issued_at, row.signature))
    return RecipientKey(row.participant, row.public_key, row.issued_at, row.signature, signer)
