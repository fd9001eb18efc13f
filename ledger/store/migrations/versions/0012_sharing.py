"""Documents that are shared, encrypted; who may read them, and the keys that they are wrapped for."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_documents()
    _create_recipients()


def _create_documents() -> None:
    op.create_table(
        "shared_documents",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("kind", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("erased_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shared_documents"),
    )
    op.create_index("ix_shared_documents_subject", "shared_documents", ["subject"])
    op.create_table(
        "shared_versions",
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("wrapping", sa.Text, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("document", "version", name="pk_shared_versions"),
    )
    op.create_index("ix_shared_versions_token", "shared_versions", ["token"])
    op.create_table(
        "shared_pieces",
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("document", "version", "position", name="pk_shared_pieces"),
    )


def _create_recipients() -> None:
    op.create_table(
        "grants",
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("participant", sa.BigInteger, nullable=False),
        sa.Column("granted_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("document", "participant", name="pk_grants"),
    )
    op.create_index("ix_grants_participant", "grants", ["participant"])
    op.create_table(
        "recipient_keys",
        sa.Column("participant", sa.BigInteger, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("participant", name="pk_recipient_keys"),
    )
