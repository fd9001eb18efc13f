"""Creates the tables of the services, beside those of the library.

Databases with this revision exist. Do not edit it: a change of the tables is a new revision.
"""

from millmark.ledger.store.migrations.create import create_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_access()
    _create_gateway()
    _create_epcis()
    _create_documents()
    _create_webhooks()


def _create_access() -> None:
    create_table(
        "credentials",
        "id:str kind:str digest:bytes participant:int key:bytes scopes:str label:str issued_at:int expires_at:int "
        "revoked_at:int",
        "id",
    )
    create_table("spent_nonces", "nonce:str expires_at:int", "nonce")


def _create_gateway() -> None:
    create_table(
        "answers",
        "caller:int route:str key:str request:bytes holder:str begun_at:int status:int headers:str body:bytes",
        "caller route key",
        "begun_at",
    )
    create_table("secrets", "name:str value:bytes", "name")
    create_table("recordings", "key:str caller:int subjects:str", "key")


def _create_epcis() -> None:
    create_table(
        "epcis_events",
        "number:int participant:int key:str hash:str event_id:str event_time_ms:int record_time_ms:int stream:bytes "
        "index:int capture:str proposal:str",
        "number",
        "participant key",
        "event_id",
        "event_time_ms number",
        "record_time_ms number",
    )
    create_table("epcis_terms", "field:str value:str first:int count:int", "field value first", with_rowid=False)
    create_table(
        "epcis_queries", "participant:int name:str number:int created_ms:int definition:str", "participant name"
    )
    create_table(
        "epcis_captures",
        "id:str number:int participant:int created_ms:int finished_ms:int behaviour:str success:bool outcome:str",
        "id",
        "number",
    )


def _create_documents() -> None:
    create_table(
        "stored_documents",
        "id:str mode:str kind:int subject:bytes added_at:int erased_at:int",
        "id",
        "subject",
    )
    create_table(
        "document_versions",
        "document:str version:int root:bytes name:str media_type:str size:int nonce:bytes wrapping:str "
        "wrapped_key:bytes added_at:int token:str",
        "document version",
        "token",
    )
    create_table("document_pieces", "document:str version:int position:int content:bytes", "document version position")
    create_table("grants", "document:str participant:int granted_at:int", "document participant", "participant")
    create_table("recipient_keys", "participant:int public_key:bytes issued_at:int signature:bytes", "participant")


def _create_webhooks() -> None:
    create_table(
        "webhooks",
        "id:str participant:int owner:bool url:str mode:str kinds:str subjects:str secrets:str created_ms:int "
        "registry_sequence:int ledger_sequence:int state:str reason:str attempts:int next_try_ms:int "
        "delivered_ms:int holder:str held_until_ms:int credential:str",
        "id",
        "participant",
        "state next_try_ms",
    )
