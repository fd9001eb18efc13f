"""What was made under an assignment, and what was certified on a stream: recalls ask for both."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_lots_assignment", "lots", ["assignment"])
    op.create_index("ix_certificates_stream", "certificates", ["stream"])
