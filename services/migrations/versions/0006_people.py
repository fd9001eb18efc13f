"""Adds the people of the gateway's company: their passkeys, their accounts at its provider, and invitations."""

from millmark.ledger.store.migrations.create import create_table

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_table("people", "number:int handle:bytes name:str role:str added_at:int removed_at:int", "number", "handle")
    create_table(
        "passkeys",
        "id:bytes person:int public_key:bytes uses:int label:str added_at:int used_at:int",
        "id",
        "person",
    )
    create_table("openid_accounts", "issuer:str subject:str person:int added_at:int", "issuer subject", "person")
    create_table(
        "invitations",
        "digest:bytes person:int name:str role:str invited_by:int issued_at:int expires_at:int used_at:int",
        "digest",
        "expires_at",
    )
    create_table("person_sessions", "id:str person:int", "id", "person")
