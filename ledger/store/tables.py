"""The tables, as SQLAlchemy has them. All share `metadata`; what migrations make of a database is compared with it.

No foreign keys among the index's tables: they are derived from the chain, one transaction a batch, and can be thrown
away and rebuilt; a reference that does not resolve is refused before it is written (ledger.index.state).
"""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, MetaData, Table, Text

from ledger.store import access_rows, answer_rows, epcis_rows, rows, sharing_rows, webhook_rows

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    },
)
TABLES: dict[type, Table] = {}
"""The table of each class of rows."""

_TYPES: dict[object, type[BigInteger | LargeBinary | Text | Boolean]] = {
    int: BigInteger,
    bytes: LargeBinary,
    str: Text,
    bool: Boolean,
}


def _table(name: str, row: type, key: str, *indexes: str) -> Table:
    """A table with the columns of `row`. `key` and `indexes` are column names separated by spaces."""
    columns = [_column(field, hint, key.split()) for field, hint in _hints(row).items()]
    table = Table(name, metadata, *columns)
    for index in indexes:
        Index(None, *(table.c[column] for column in index.split()))
    TABLES[row] = table
    return table


def _hints(row: type) -> dict[str, object]:
    hints = get_type_hints(row)
    return {field.name: hints[field.name] for field in fields(row)}


def _column(name: str, hint: object, key: list[str]) -> Column[object]:
    nullable = type(None) in get_args(hint)
    kind = get_args(hint)[0] if nullable else hint
    return Column(name, _TYPES[kind](), primary_key=name in key, autoincrement=False, nullable=nullable)


chain_identity = _table("chain_identity", rows.ChainIdentityRow, "id")
cursor = _table("cursor", rows.CursorRow, "id")
blocks = _table("blocks", rows.BlockRow, "number")
records = _table("records", rows.RecordRow, "contract sequence", "subject", "block_number")
record_histories = _table("record_histories", rows.RecordHistoryRow, "sequence position", "subject sequence")
heads = _table("heads", rows.HeadRow, "subject")
supersessions = _table("supersessions", rows.SupersessionRow, "sequence", "superseded")

participants = _table("participants", rows.ParticipantRow, "number")
keys = _table("keys", rows.KeyRow, "address", "participant")
machines = _table("machines", rows.MachineRow, "number", "subject")
models = _table("models", rows.ModelRow, "number", "digest")

orders = _table("orders", rows.OrderRow, "subject", "sequence")
operations = _table("operations", rows.OperationRow, "order operation")
assignments = _table("assignments", rows.AssignmentRow, "sequence", "order operation", "machine")

lots = _table("lots", rows.LotRow, "subject", "number", "order", "parent", "custodian", "assignment")
transformations = _table("transformations", rows.TransformationRow, "sequence")
lot_inputs = _table("lot_inputs", rows.LotInputRow, "sequence lot", "lot")
lot_outputs = _table("lot_outputs", rows.LotOutputRow, "sequence lot", "lot")
packings = _table("packings", rows.PackingRow, "packed_by child", "child", "parent")
custody_changes = _table("custody_changes", rows.CustodyChangeRow, "sequence lot", "lot")

certificates = _table("certificates", rows.CertificateRow, "sequence", "lot", "model", "stream")
streams = _table("streams", rows.StreamRow, "subject", "machine")
anchors = _table("anchors", rows.AnchorRow, "sequence", "stream")

identities = _table("identities", rows.IdentityRow, "subject", "identifier")
documents = _table("documents", rows.DocumentRow, "root")
evidence = _table("evidence", rows.EvidenceRow, "stream index")
inferences = _table("inferences", rows.InferenceRow, "certificate")
model_files = _table("model_files", rows.ModelFileRow, "digest")
findings = _table("findings", rows.FindingRow, "certificate")
book_revisions = _table("book_revisions", rows.BookRevisionRow, "id")
participant_names = _table("participant_names", rows.ParticipantNameRow, "number")

credentials = _table("credentials", access_rows.CredentialRow, "id")
spent_nonces = _table("spent_nonces", access_rows.SpentNonceRow, "nonce")

answers = _table("answers", answer_rows.AnswerRow, "caller route key", "begun_at")
secrets = _table("secrets", answer_rows.SecretRow, "name")
recordings = _table("recordings", answer_rows.RecordingRow, "key")
epcis_events = _table(
    "epcis_events",
    epcis_rows.EpcisEventRow,
    "number",
    "participant key",
    "event_id",
    "event_time_ms number",
    "record_time_ms number",
)
epcis_terms = _table("epcis_terms", epcis_rows.EpcisTermRow, "field value first")
epcis_queries = _table("epcis_queries", epcis_rows.EpcisQueryRow, "participant name")
epcis_captures = _table("epcis_captures", epcis_rows.EpcisCaptureRow, "id", "number")

shared_documents = _table("shared_documents", sharing_rows.SharedDocumentRow, "id", "subject")
shared_versions = _table("shared_versions", sharing_rows.SharedVersionRow, "document version", "token")
shared_pieces = _table("shared_pieces", sharing_rows.SharedPieceRow, "document version position")
grants = _table("grants", sharing_rows.GrantRow, "document participant", "participant")
recipient_keys = _table("recipient_keys", sharing_rows.RecipientKeyRow, "participant")

webhooks = _table("webhooks", webhook_rows.WebhookRow, "id", "participant", "state next_try_ms")

PRIVATE: frozenset[type] = frozenset(
    {
        rows.IdentityRow,
        rows.DocumentRow,
        rows.EvidenceRow,
        rows.InferenceRow,
        rows.ModelFileRow,
        rows.FindingRow,
        rows.ParticipantNameRow,
        rows.BookRevisionRow,
        access_rows.CredentialRow,
        access_rows.SpentNonceRow,
        answer_rows.AnswerRow,
        answer_rows.SecretRow,
        answer_rows.RecordingRow,
        epcis_rows.EpcisEventRow,
        epcis_rows.EpcisTermRow,
        epcis_rows.EpcisCaptureRow,
        epcis_rows.EpcisQueryRow,
        sharing_rows.SharedDocumentRow,
        sharing_rows.SharedVersionRow,
        sharing_rows.SharedPieceRow,
        sharing_rows.GrantRow,
        sharing_rows.RecipientKeyRow,
        webhook_rows.WebhookRow,
    }
)
"""What a rebuild keeps, since the chain cannot give it back."""
INDEX: tuple[type, ...] = tuple(row for row in TABLES if row not in PRIVATE and row is not rows.ChainIdentityRow)
"""What a rebuild throws away."""
