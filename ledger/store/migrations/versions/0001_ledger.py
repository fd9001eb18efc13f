"""The chain as the index keeps it, and the private book."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TYPES = {"int": sa.BigInteger, "bytes": sa.LargeBinary, "str": sa.Text, "bool": sa.Boolean}


def upgrade() -> None:
    _create_chain()
    _create_registry()
    _create_orders()
    _create_lots()
    _create_evidence()
    _create_book()


def _create(name: str, columns: str, key: str, *indexes: str) -> None:
    """`columns` are name:type, with a question mark where NULL may stand; `key` and `indexes` are column names."""
    parts = [column.partition(":") for column in columns.split()]
    op.create_table(
        name,
        *(
            sa.Column(column, _TYPES[kind.rstrip("?")](), nullable=kind.endswith("?"), autoincrement=False)
            for column, _, kind in parts
        ),
        sa.PrimaryKeyConstraint(*key.split(), name=f"pk_{name}"),
    )
    for index in indexes:
        op.create_index(f"ix_{name}_{index.replace(' ', '_')}", name, index.split())


def _create_chain() -> None:
    _create(
        "chain_identity",
        "id:int chain_id:int genesis_hash:bytes registry:bytes ledger:bytes",
        "id",
    )
    _create(
        "cursor",
        "id:int block_number:int block_hash:bytes block_time:int registry_sequence:int ledger_sequence:int "
        "digest:bytes",
        "id",
    )
    _create(
        "blocks",
        "number:int hash:bytes parent_hash:bytes timestamp:int",
        "number",
    )
    _create(
        "records",
        "contract:str sequence:int kind:str topic:bytes participant:int subject:bytes key:bytes block_number:int "
        "block_hash:bytes block_time:int transaction_hash:bytes log_index:int data:bytes inner:bytes fields:str",
        "contract sequence",
        "block_number",
        "subject",
    )
    _create(
        "record_histories",
        "sequence:int position:int subject:bytes head:bytes",
        "sequence position",
        "subject sequence",
    )
    _create(
        "heads",
        "subject:bytes head:bytes length:int sequence:int",
        "subject",
    )
    _create(
        "supersessions",
        "sequence:int superseded:int reason_root:bytes",
        "sequence",
        "superseded",
    )


def _create_registry() -> None:
    _create(
        "participants",
        "number:int sequence:int roles:int keys:int suspended:bool admitted_at:int claims_root:bytes",
        "number",
    )
    _create(
        "keys",
        "address:bytes participant:int added_at:int revoked_at:int compromised_since:int",
        "address",
        "participant",
    )
    _create(
        "machines",
        "number:int subject:bytes owner:int registered_at:int retired_at:int claims_root:bytes",
        "number",
        "subject",
    )
    _create(
        "models",
        "number:int subject:bytes inspector:int approver:int state:int registered_at:int approved_at:int "
        "withdrawn_at:int defective_since:int digest:bytes card_root:bytes report_root:bytes "
        "reason_root:bytes",
        "number",
        "digest",
    )


def _create_orders() -> None:
    _create(
        "orders",
        "subject:bytes sequence:int buyer:int coordinator:int inspector:int model:int operations:int finished:int "
        "live:int state:int due_at:int placed_at:int claims_root:bytes",
        "subject",
        "sequence",
    )
    _create(
        "operations",
        "order:bytes operation:int assignment:int finished_once:bool",
        "order operation",
    )
    _create(
        "assignments",
        "sequence:int order:bytes operation:int machine:int owner:int state:int proposed_at:int accepted_at:int "
        "started_at:int ended_at:int stream:bytes? leaf_index:int leaf_hash:bytes? claims_root:bytes",
        "sequence",
        "machine",
        "order operation",
    )


def _create_lots() -> None:
    _create(
        "lots",
        "subject:bytes number:int sequence:int order:bytes? parent:bytes? packed_by:int contents:int quantity:int "
        "quantity_created:int unit:bytes custodian:int counterparty:int state:int certificate:int assignment:int "
        "created_at:int claims_root:bytes",
        "subject",
        "custodian",
        "number",
        "order",
        "parent",
    )
    _create(
        "transformations",
        "sequence:int participant:int kind:int order:bytes? operation:int unit:bytes output_unit:bytes loss:int "
        "yield_in:int yield_out:int transformed_at:int claims_root:bytes",
        "sequence",
    )
    _create(
        "lot_inputs",
        "sequence:int lot:bytes quantity:int",
        "sequence lot",
        "lot",
    )
    _create(
        "lot_outputs",
        "sequence:int lot:bytes quantity:int",
        "sequence lot",
        "lot",
    )
    _create(
        "packings",
        "packed_by:int child:bytes parent:bytes unpacked_by:int",
        "packed_by child",
        "child",
        "parent",
    )
    _create(
        "custody_changes",
        "sequence:int lot:bytes kind:str from_participant:int to_participant:int changed_at:int",
        "sequence lot",
        "lot",
    )


def _create_evidence() -> None:
    _create(
        "certificates",
        "sequence:int lot:bytes order:bytes? issuer:int model:int verdict:int issued_at:int expires_at:int "
        "revoked_at:int inference_digest:bytes stream:bytes leaf_index:int leaf_hash:bytes anchor_size:int "
        "anchor_root:bytes claims_root:bytes reason_root:bytes",
        "sequence",
        "lot",
        "model",
    )
    _create(
        "streams",
        "subject:bytes sequence:int machine:int owner:int size:int root:bytes opened_at:int claims_root:bytes",
        "subject",
        "machine",
    )
    _create(
        "anchors",
        "sequence:int stream:bytes size:int root:bytes anchored_at:int",
        "sequence",
        "stream",
    )


def _create_book() -> None:
    _create(
        "identities",
        "subject:bytes kind:int creator:int identifier:str salt:bytes",
        "subject",
        "identifier",
    )
    _create(
        "documents",
        "root:bytes document:str",
        "root",
    )
    _create(
        "participant_names",
        "number:int name:str",
        "number",
    )
