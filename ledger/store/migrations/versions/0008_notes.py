"""Notes by their kind, for quality cases: those in the index already, too, so that it need not be rebuilt."""

import sqlalchemy as sa
from alembic import op

from millmark.ledger.store.migrations.create import create_table

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WORD = 32
_AT_ONCE = 500


def upgrade() -> None:
    create_table(
        "notes",
        "sequence:int note_kind:int participant:int recorded_at:int claims_root:bytes",
        "sequence",
        "note_kind sequence",
    )
    told = ("contract", "sequence", "kind", "participant", "block_time", "data")
    records = sa.table("records", *map(sa.column, told))
    kept = ("sequence", "note_kind", "participant", "recorded_at", "claims_root")
    notes = sa.table("notes", *map(sa.column, kept))
    wanted = sa.select(records.c.sequence, records.c.participant, records.c.block_time, records.c.data)
    wanted = wanted.where(records.c.contract == "ledger", records.c.kind == "NoteRecorded")
    connection = op.get_bind()
    # Without it, psycopg fetches all rows before the first is used.
    for rows in connection.execute(wanted.execution_options(yield_per=_AT_ONCE)).partitions():
        connection.execute(sa.insert(notes), [_note(*row) for row in rows])


def _note(sequence: int, participant: int, recorded_at: int, data: bytes) -> dict[str, object]:
    """The event's data are the key, where the histories begin, the kind, and the claims root (INotes)."""
    kind, claims_root = data[2 * _WORD : 3 * _WORD], data[3 * _WORD : 4 * _WORD]
    return {
        "sequence": sequence,
        "note_kind": int.from_bytes(kind, "big"),
        "participant": participant,
        "recorded_at": recorded_at,
        "claims_root": claims_root,
    }
