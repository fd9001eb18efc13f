"""Tables, and the migrations that create them.

A schema is a set of tables with its own migrations. The library has one; a program with further tables passes another
to `open_store`. Each has its own version table, so that a gateway can later open a database that was created by a user
of the library, and the other way round. The alternative was Alembic's branches: they share one version table, where the
library would find revisions of programs that it does not know.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from importlib.resources import files
from typing import get_args, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, LargeBinary, MetaData, Table, Text, inspect

from millmark.ledger.errors import StoreError
from millmark.ledger.store import rows

TABLES: dict[type, Table] = {}
"""The table of each row class, of all schemas."""

_TYPES: dict[object, type[BigInteger | LargeBinary | Text | Boolean]] = {
    int: BigInteger,
    bytes: LargeBinary,
    str: Text,
    bool: Boolean,
}


def _new_metadata() -> MetaData:
    return MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        },
    )


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that are created and migrated together."""

    package: str
    """Its folder `migrations/versions` holds the migrations; their file names begin with the revision, four digits."""
    version_table: str
    """The table with the database's current revision."""
    metadata: MetaData = field(default_factory=_new_metadata, repr=False)
    """The declared tables. A test compares them with what the migrations create."""

    def table(self, name: str, row: type, key: str, *indexes: str) -> Table:
        """Declare a table with the fields of `row`, a dataclass. `key` and each index are names separated by spaces."""
        columns = [_column(column, hint, key.split()) for column, hint in _hints(row).items()]
        table = Table(name, self.metadata, *columns)
        for index in indexes:
            Index(None, *(table.c[column] for column in index.split()))
        TABLES[row] = table
        return table

    def newest(self) -> str:
        """The latest revision, from the file names, since importing Alembic is slow (see `migrate`)."""
        folder = files(self.package) / "migrations" / "versions"
        return max(entry.name[:4] for entry in folder.iterdir() if entry.name[:4].isdecimal())


def _hints(row: type) -> dict[str, object]:
    hints = get_type_hints(row)
    return {column.name: hints[column.name] for column in fields(row)}


def _column(name: str, hint: object, key: list[str]) -> Column[object]:
    nullable = type(None) in get_args(hint)
    kind = get_args(hint)[0] if nullable else hint
    # No column is numbered by the database: numbers come from the chain or from the program.
    return Column(name, _TYPES[kind](), primary_key=name in key, autoincrement=False, nullable=nullable)


@functools.cache
def schema_of(package: str) -> Schema:
    """The schema of a program with tables beside the library's, by its package. Returns the same object on every call,
    so that each domain can declare its tables without importing the module that opens the store."""
    return Schema(package, f"alembic_version_{package.rpartition('.')[2]}")


def read_revisions(connection: Connection, schema: Schema) -> list[str]:
    """The database's current revision of a schema, as a list of one; empty if it does not have the schema."""
    if not inspect(connection).has_table(schema.version_table):
        return []
    query = f"SELECT version_num FROM {schema.version_table}"  # noqa: S608  # not user input
    return list(connection.exec_driver_sql(query).scalars())


def migrate(connection: Connection, schema: Schema, url: str) -> None:
    """Create the schema's tables or migrate them to the newest revision, within the connection's transaction.

    The transaction must hold the write lock: a crash then leaves the previous revision, and processes that open the
    database at the same time take turns. Raises StoreError if the database was written by a newer version; `url` names
    the database in that message.
    """
    # Not at the top: importing Alembic takes longer than opening a database that is up to date.
    from alembic import command, config, script  # noqa: PLC0415  # slow

    settings = config.Config(attributes={"connection": connection, "schema": schema})
    settings.set_main_option("script_location", "millmark.ledger.store:migrations")  # its env.py serves every schema
    settings.set_main_option("version_locations", f"{schema.package}:migrations/versions")
    settings.set_main_option("path_separator", "newline")  # the system's would cut the line above at its colon
    scripts = script.ScriptDirectory.from_config(settings)
    current = read_revisions(connection, schema)
    if not set(current) <= {revision.revision for revision in scripts.walk_revisions()}:
        raise StoreError(
            f"{url} was written by a newer version (schema {', '.join(current)})",
            hint="use that version or a later one",
        )
    if current != scripts.get_heads():
        command.upgrade(settings, "head")


# The library's own tables.
#
# The index's tables have no foreign keys: they are derived from the chain, one transaction per batch, and can be
# rebuilt. A reference to a missing row is refused before it is written (millmark.ledger.index.state).

LEDGER = Schema("millmark.ledger.store", "alembic_version")
"""Index, private book and outbox. The outbox and the undo log declare their tables in their own modules."""
_table = LEDGER.table

chain_identity = _table("chain_identity", rows.ChainIdentityRow, "id")
cursor = _table("cursor", rows.CursorRow, "id")
blocks = _table("blocks", rows.BlockRow, "number")
records = _table("records", rows.RecordRow, "contract sequence", "subject", "block_number")
record_histories = _table("record_histories", rows.RecordHistoryRow, "sequence position", "subject sequence")
heads = _table("heads", rows.HeadRow, "subject")
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
    "assignment number",
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

identities = _table("identities", rows.IdentityRow, "subject", "identifier")
documents = _table("documents", rows.DocumentRow, "root")
evidence = _table("evidence", rows.EvidenceRow, "stream index")
evidence_folders = _table("evidence_folders", rows.EvidenceFolderRow, "id")
opened_entries = _table("opened_entries", rows.OpenedEntryRow, "stream index")
certified_entries = _table("certified_entries", rows.CertifiedEntryRow, "certificate")
inferences = _table("inferences", rows.InferenceRow, "certificate")
model_files = _table("model_files", rows.ModelFileRow, "digest")
findings = _table("findings", rows.FindingRow, "certificate")
book_revisions = _table("book_revisions", rows.BookRevisionRow, "id")
participant_names = _table("participant_names", rows.ParticipantNameRow, "number")

PRIVATE: frozenset[type] = frozenset(
    {
        rows.IdentityRow,
        rows.DocumentRow,
        rows.EvidenceRow,
        rows.EvidenceFolderRow,
        rows.OpenedEntryRow,
        rows.CertifiedEntryRow,
        rows.InferenceRow,
        rows.ModelFileRow,
        rows.FindingRow,
        rows.ParticipantNameRow,
        rows.BookRevisionRow,
    }
)
"""Row classes that a rebuild keeps, since their content is not on the chain."""
INDEX: tuple[type, ...] = tuple(row for row in TABLES if row not in PRIVATE and row is not rows.ChainIdentityRow)
"""Row classes that a rebuild deletes."""
