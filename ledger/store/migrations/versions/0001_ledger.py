"""The tables of the index, of the private book and of the outbox.

Once a version is released, databases have this revision: a change of the tables is then a new revision beside it.
"""

import sqlalchemy as sa
from alembic import op

from millmark.ledger.store.migrations.create import create_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Numbers have 64 bits: SQLite counts an INTEGER alone by itself, and its integers have 64 bits."""
_UNFINISHED = sa.text("state NOT IN ('final', 'cancelled')")
_DONE = ("final", "cancelled")
_IS_DONE = "{row}.state IN ('final', 'cancelled')"


def upgrade() -> None:
    _create_chain()
    _create_registry()
    _create_orders()
    _create_lots()
    _create_certificates()
    _create_evidence()
    _create_book()
    _create_outbox()
    _create_counters()
    _create_transactions()
    _create_signers()


def _create_chain() -> None:
    create_table(
        "chain_identity", "id:int chain_id:int genesis_hash:bytes registry:bytes ledger:bytes ledger_id:bytes", "id"
    )
    create_table(
        "cursor",
        "id:int block_number:int block_hash:bytes block_time:int registry_sequence:int ledger_sequence:int "
        "digest:bytes",
        "id",
    )
    create_table("blocks", "number:int hash:bytes parent_hash:bytes timestamp:int", "number")
    create_table(
        "records",
        "contract:str sequence:int kind:str topic:bytes participant:int subject:bytes key:bytes block_number:int "
        "block_hash:bytes block_time:int transaction_hash:bytes log_index:int data:bytes inner:bytes",
        "contract sequence",
        "block_number",
        "subject",
    )
    create_table(
        "record_histories",
        "sequence:int position:int subject:bytes head:bytes",
        "sequence position",
        "subject sequence",
    )
    create_table("heads", "subject:bytes head:bytes length:int sequence:int", "subject")
    create_table(
        "index_undo",
        "block_number:int position:int table_name:str key:str before:str?",
        "block_number position",
    )


def _create_registry() -> None:
    create_table(
        "participants",
        "number:int sequence:int roles:int keys:int suspended:bool departed:bool inactive_since:int trustee:int "
        "admitted_at:int claims_root:bytes",
        "number",
    )
    create_table(
        "keys",
        "address:bytes participant:int roles:int admin:bool added_at:int revoked_at:int compromised_since:int "
        "declared_at:int",
        "address",
        "participant",
    )
    create_table(
        "recoveries",
        "participant:int key:bytes proposed_at:int effective_at:int objected:bool overruled:bool accepted_at:int",
        "participant",
        "accepted_at",
    )
    create_table("name_keys", "participant:int index:int hash:bytes set_at:int", "participant index")
    create_table("publications", "kind:int digest:bytes sequence:int published_at:int", "kind")
    create_table(
        "machines",
        "number:int subject:bytes owner:int registered_at:int retired_at:int claims_root:bytes",
        "number",
        "subject",
    )
    create_table(
        "models",
        "number:int subject:bytes inspector:int approver:int state:int open:bool registered_at:int approved_at:int "
        "retired_at:int withdrawn_at:int defective_since:int digest:bytes code:bytes? card_root:bytes "
        "report_root:bytes reason_root:bytes",
        "number",
        "digest",
        "state number",
    )


def _create_orders() -> None:
    create_table(
        "orders",
        "subject:bytes sequence:int buyer:int coordinator:int gates:str operations:int finished:int "
        "live:int state:int due_at:int quantity:int unit:bytes placed_at:int claims_root:bytes",
        "subject",
        "sequence",
        "buyer state sequence",
        "coordinator state sequence",
        "state sequence",
    )
    create_table("operations", "order:bytes operation:int assignment:int finished_once:bool", "order operation")
    create_table(
        "assignments",
        "sequence:int order:bytes operation:int machine:int owner:int state:int proposed_at:int accepted_at:int "
        "started_at:int ended_at:int stream:bytes? stream_size:int leaf_index:int leaf_hash:bytes? claims_root:bytes",
        "sequence",
        "machine ended_at accepted_at",
        "order operation",
        "owner state sequence",
        "stream leaf_index",
    )


def _create_lots() -> None:
    create_table(
        "lots",
        "subject:bytes number:int sequence:int order:bytes? parent:bytes? packed_by:int contents:int offer:int "
        "quantity:int quantity_created:int unit:bytes custodian:int counterparty:int state:int reworked:int "
        "certificate:int assignment:int created_at:int claims_root:bytes",
        "subject",
        "assignment number",
        "counterparty state number",
        "custodian state number",
        "number",
        "order",
        "parent",
        "state number",
    )
    create_table(
        "transformations",
        "sequence:int participant:int kind:int order:bytes? operation:int unit:bytes output_unit:bytes loss:int "
        "yield_in:int yield_out:int transformed_at:int claims_root:bytes",
        "sequence",
    )
    create_table("lot_inputs", "sequence:int lot:bytes quantity:int component:bool", "sequence lot", "lot")
    create_table("lot_outputs", "sequence:int lot:bytes quantity:int", "sequence lot", "lot")
    create_table(
        "packings",
        "packed_by:int child:bytes parent:bytes unpacked_by:int",
        "packed_by child",
        "child",
        "parent",
    )
    create_table(
        "custody_changes",
        "sequence:int lot:bytes kind:str from_participant:int to_participant:int changed_at:int",
        "sequence lot",
        "lot",
    )


def _create_certificates() -> None:
    create_table(
        "certificates",
        "sequence:int lot:bytes order:bytes? issuer:int model:int verdict:int state:int issued_at:int expires_at:int "
        "opening_deadline:int opened_at:int executed:int revoked_at:int inference_digest:bytes stream:bytes "
        "leaf_index:int leaf_hash:bytes anchor_size:int anchor_root:bytes claims_root:bytes reason_root:bytes",
        "sequence",
        "lot",
        "model",
        "issuer state sequence",
        "state sequence",
        "stream leaf_index",
    )
    create_table("certified_lots", "certificate:int lot:bytes", "certificate lot", "lot")
    create_table(
        "standings",
        "lot:bytes inspector:int latest:int quarantining:int open:int key:bytes",
        "lot inspector",
    )
    create_table(
        "waivers",
        "sequence:int lot:bytes inspector:int buyer:int order:bytes certificate:int waived_at:int reason_root:bytes",
        "sequence",
        "lot",
    )
    create_table(
        "notes",
        "sequence:int note_kind:int participant:int about:int recorded_at:int claims_root:bytes",
        "sequence",
        "note_kind sequence",
    )


def _create_evidence() -> None:
    create_table(
        "streams",
        "subject:bytes sequence:int machine:int owner:int size:int root:bytes opened_at:int claims_root:bytes",
        "subject",
        "machine",
    )
    create_table(
        "anchors",
        "sequence:int stream:bytes size:int root:bytes anchored_at:int",
        "sequence",
        "stream size",
        "stream anchored_at sequence",
    )
    create_table("evidence_folders", "id:int name:bytes", "id")
    create_table(
        "evidence",
        "stream:bytes index:int count:int salts:bytes entries:str leaf_hashes:bytes kinds:bytes file:str",
        "stream index",
        partition_by="LIST (stream)",  # and each stream by month, where the store makes them
    )
    create_table(
        "opened_entries", "stream:bytes index:int kind:int salt:bytes entry:str leaf_hash:bytes", "stream index"
    )


def _create_book() -> None:
    create_table(
        "identities",
        "subject:bytes kind:int creator:int identifier:str salt:bytes proofs:bytes",
        "subject",
        "identifier",
    )
    create_table("documents", "root:bytes document:str", "root")
    create_table("participant_names", "number:int name:str", "number")
    create_table("certified_entries", "certificate:int kind:int salt:bytes entry:str inclusion:bytes", "certificate")
    create_table("inferences", "certificate:int salt:bytes window:bytes logits:str", "certificate")
    create_table("model_files", "digest:bytes content:bytes card:str", "digest")
    create_table("findings", "certificate:int defect:bool found_at:int", "certificate")
    create_table("book_revisions", "id:int number:int", "id")


def _create_outbox() -> None:
    op.create_table(
        "outbox_records",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("idempotency_key", sa.String(256), nullable=False, unique=True),
        sa.Column("signer", sa.LargeBinary(20), nullable=False),
        sa.Column("contract", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("payload_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("depends_on", sa.String(256)),
        sa.Column("cancelling", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("error_name", sa.String(64)),
        sa.Column("error", sa.String),
        sa.Column("error_values", sa.String),
        sa.Column("queued_at_s", sa.Float, nullable=False),
        sa.Column("changed_at_s", sa.Float, nullable=False),
    )
    op.create_index("outbox_records_by_state", "outbox_records", ["signer", "state", "id"])
    op.create_index("outbox_records_by_dependency", "outbox_records", ["depends_on"])
    op.create_index(
        "outbox_records_unfinished", "outbox_records", ["id"], sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED
    )


def _create_counters() -> None:
    """Counters of the records that are done: almost all of them, which would otherwise be counted one by one."""
    op.execute("CREATE TABLE outbox_done (state VARCHAR(16) NOT NULL PRIMARY KEY, records BIGINT NOT NULL)")
    for state in _DONE:
        op.execute(f"INSERT INTO outbox_done VALUES ('{state}', 0)")  # noqa: S608  # constants
    # Triggers, so that no statement that changes a state can forget them.
    if op.get_bind().dialect.name == "postgresql":
        _count_statements()
    else:
        _count_rows()


def _count_rows() -> None:
    old, new = (f"UPDATE outbox_done SET records = records {step} WHERE state = {row}.state;"  # noqa: S608  # constants
                for step, row in (("- 1", "OLD"), ("+ 1", "NEW")))  # fmt: skip
    is_old, is_new = (_IS_DONE.format(row=row) for row in ("OLD", "NEW"))
    for name, event, when, body in (
        ("inserted", "INSERT", is_new, new),
        ("updated", "UPDATE OF state", f"OLD.state <> NEW.state AND ({is_old} OR {is_new})", old + new),
        ("deleted", "DELETE", is_old, old),
    ):
        op.execute(f"CREATE TRIGGER outbox_done_{name} AFTER {event} ON outbox_records WHEN {when} BEGIN {body} END")


def _count_statements() -> None:
    """Once for each statement: a row's trigger would leave a dead version of the counter behind for each record."""
    for name, event, tables in (
        ("inserted", "INSERT", {"new_rows": 1}),
        ("updated", "UPDATE", {"new_rows": 1, "old_rows": -1}),
        ("deleted", "DELETE", {"old_rows": -1}),
    ):
        moved = " UNION ALL ".join(f"SELECT state, {step} AS step FROM {table}" for table, step in tables.items())  # noqa: S608  # constants
        op.execute(
            f"CREATE FUNCTION outbox_done_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608  # constants
            "UPDATE outbox_done SET records = records + moved.steps FROM "
            f"(SELECT state, sum(step) AS steps FROM ({moved}) AS each GROUP BY state HAVING sum(step) <> 0) AS moved "
            "WHERE outbox_done.state = moved.state; RETURN NULL; END $$"
        )
        named = " ".join(f"{table.split('_')[0].upper()} TABLE AS {table}" for table in tables)
        op.execute(
            f"CREATE TRIGGER outbox_done_{name} AFTER {event} ON outbox_records REFERENCING {named} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION outbox_done_{name}()"
        )


def _create_transactions() -> None:
    op.create_table(
        "outbox_transactions",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("signer", sa.LargeBinary(20), nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("recipient", sa.LargeBinary(20), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("gas_limit", sa.BigInteger, nullable=False),
        sa.Column("max_fee_wei", sa.BigInteger),
        sa.Column("priority_fee_wei", sa.BigInteger),
        sa.Column("noop", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("relayed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("hash", sa.LargeBinary(32), unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.LargeBinary(32)),
        sa.Column("gas_used", sa.BigInteger),
        sa.Column("error", sa.String),
        sa.Column("changed_at_s", sa.Float, nullable=False),
    )
    op.create_index("outbox_transactions_by_nonce", "outbox_transactions", ["signer", "nonce"])
    op.create_index("outbox_transactions_by_state", "outbox_transactions", ["signer", "relayed", "state", "nonce"])
    op.create_index("outbox_transactions_by_block", "outbox_transactions", ["block_number"])
    op.create_table(
        "outbox_attempts",
        sa.Column("transaction_id", _NUMBER, sa.ForeignKey("outbox_transactions.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("record_id", _NUMBER, sa.ForeignKey("outbox_records.id"), nullable=False),
        sa.UniqueConstraint("transaction_id", "record_id"),
    )
    op.create_table(
        "outbox_replaced",
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("transaction_id", _NUMBER, sa.ForeignKey("outbox_transactions.id"), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("max_fee_wei", sa.BigInteger, nullable=False),
        sa.Column("noop", sa.Boolean, nullable=False),
        sa.Column("replaced_at_s", sa.Float, nullable=False),
    )
    op.create_index("outbox_replaced_by_transaction", "outbox_replaced", ["transaction_id"])


def _create_signers() -> None:
    for name in ("outbox_nonces", "outbox_relay_nonces"):
        op.create_table(
            name,
            sa.Column("signer", sa.LargeBinary(20), primary_key=True),
            sa.Column("next_nonce", sa.BigInteger, nullable=False),
        )
    op.create_table(
        "outbox_leases",
        sa.Column("signer", sa.LargeBinary(20), primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
    # The ledger that the outbox's records are for.
    op.create_table(
        "outbox_chain",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("ledger", sa.LargeBinary(20), nullable=False),
        sa.Column("ledger_id", sa.LargeBinary(32), nullable=False),
        sa.Column("genesis_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_number", sa.BigInteger, nullable=False),
        sa.Column("created_hash", sa.LargeBinary(32), nullable=False),
    )
