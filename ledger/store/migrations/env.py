"""Runs migrations on the connection that `open_store` hands over, inside its transaction."""

from alembic import context

import ledger.store.outbox  # noqa: F401  # declares its tables
from ledger.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
