"""Declares the library's tables for SQLAlchemy.

The index's tables have no foreign keys: they are derived from the chain, one transaction per batch, and can be rebuilt.
A reference to a missing row is refused before it is written (millmark.ledger.index.state).
"""

from __future__ import annotations

from millmark.ledger.store import book_rows, rows
from millmark.ledger.store.schema import TABLES, Schema

LEDGER = Schema("millmark.ledger.store", "alembic_version")
"""Index, private book and outbox. The outbox and the undo log declare their tables in their own modules."""
_table = LEDGER.table

chain_identity = _table("chain_identity", rows.ChainIdentityRow, "id")
cursor = _table("cursor", rows.CursorRow, "id")
blocks = _table("blocks", rows.BlockRow, "number")
records = _table("records", rows.RecordRow, "contract sequence", "subject", "block_number")
record_histories = _table("record_histories", rows.RecordHistoryRow, "sequence position", "subject sequence")
heads = _table("heads", rows.HeadRow, "subject")
supersessions = _table("supersessions", rows.SupersessionRow, "sequence", "superseded")
notes = _table("notes", rows.NoteRow, "sequence", "note_kind sequence")

participants = _table("participants", rows.ParticipantRow, "number")
keys = _table("keys", rows.KeyRow, "address", "participant")
recoveries = _table("recoveries", rows.RecoveryRow, "participant", "accepted_at")
name_keys = _table("name_keys", rows.NameKeyRow, "participant index")
publications = _table("publications", rows.PublicationRow, "kind")
machines = _table("machines", rows.MachineRow, "number", "subject")
models = _table("models", rows.ModelRow, "number", "digest", "state number")

orders = _table(
    "orders",
    rows.OrderRow,
    "subject",
    "sequence",
    "buyer state sequence",
    "coordinator state sequence",
    "state sequence",
)
operations = _table("operations", rows.OperationRow, "order operation")
assignments = _table(
    "assignments",
    rows.AssignmentRow,
    "sequence",
    "order operation",
    "machine ended_at accepted_at",
    "stream leaf_index",
    "owner state sequence",
)

lots = _table(
    "lots",
    rows.LotRow,
    "subject",
    "number",
    "order",
    "parent",
    "custodian state number",
    "counterparty state number",
    "state number",
    "assignment",
)
transformations = _table("transformations", rows.TransformationRow, "sequence")
lot_inputs = _table("lot_inputs", rows.LotInputRow, "sequence lot", "lot")
lot_outputs = _table("lot_outputs", rows.LotOutputRow, "sequence lot", "lot")
packings = _table("packings", rows.PackingRow, "packed_by child", "child", "parent")
custody_changes = _table("custody_changes", rows.CustodyChangeRow, "sequence lot", "lot")

certificates = _table(
    "certificates",
    rows.CertificateRow,
    "sequence",
    "lot",
    "model",
    "stream leaf_index",
    "issuer state sequence",
    "state sequence",
)
certified_lots = _table("certified_lots", rows.CertifiedLotRow, "certificate lot", "lot")
standings = _table("standings", rows.StandingRow, "lot inspector")
waivers = _table("waivers", rows.WaiverRow, "sequence", "lot")
streams = _table("streams", rows.StreamRow, "subject", "machine")
anchors = _table("anchors", rows.AnchorRow, "sequence", "stream size", "stream anchored_at sequence")

identities = _table("identities", book_rows.IdentityRow, "subject", "identifier")
documents = _table("documents", book_rows.DocumentRow, "root")
evidence = _table("evidence", book_rows.EvidenceRow, "stream index")
evidence_folders = _table("evidence_folders", book_rows.EvidenceFolderRow, "id")
opened_entries = _table("opened_entries", book_rows.OpenedEntryRow, "stream index")
certified_entries = _table("certified_entries", book_rows.CertifiedEntryRow, "certificate")
inferences = _table("inferences", book_rows.InferenceRow, "certificate")
model_files = _table("model_files", book_rows.ModelFileRow, "digest")
findings = _table("findings", book_rows.FindingRow, "certificate")
book_revisions = _table("book_revisions", book_rows.BookRevisionRow, "id")
participant_names = _table("participant_names", book_rows.ParticipantNameRow, "number")

PRIVATE: frozenset[type] = frozenset(
    {
        book_rows.IdentityRow,
        book_rows.DocumentRow,
        book_rows.EvidenceRow,
        book_rows.EvidenceFolderRow,
        book_rows.OpenedEntryRow,
        book_rows.CertifiedEntryRow,
        book_rows.InferenceRow,
        book_rows.ModelFileRow,
        book_rows.FindingRow,
        book_rows.ParticipantNameRow,
        book_rows.BookRevisionRow,
    }
)
"""Row classes that a rebuild keeps, since their content is not on the chain."""
INDEX: tuple[type, ...] = tuple(row for row in TABLES if row not in PRIVATE and row is not rows.ChainIdentityRow)
"""Row classes that a rebuild deletes."""
