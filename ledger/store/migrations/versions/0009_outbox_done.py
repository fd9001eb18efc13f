"""Counters of the outbox's records that are done: almost all of them, which would otherwise be counted one by one."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_DONE = ("final", "cancelled")
_IS_DONE = "{row}.state IN ('final', 'cancelled')"


def upgrade() -> None:
    op.execute("CREATE TABLE outbox_done (state VARCHAR(16) NOT NULL PRIMARY KEY, records BIGINT NOT NULL)")
    for state in _DONE:
        op.execute(
            f"INSERT INTO outbox_done SELECT '{state}', count(*) FROM outbox_records WHERE state = '{state}'"  # noqa: S608  # constants
        )
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
