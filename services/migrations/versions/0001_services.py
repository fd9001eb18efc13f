"""The tables of the services, beside those of the library.

Once a version is released, databases have this revision: a change of the tables is then a new revision beside it.
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
    _create_people()
    _create_directory()
    _create_handovers()
    _create_planning()
    _create_forecasts()
    _create_setpoints()
    _create_feedback()


def _create_access() -> None:
    create_table(
        "credentials",
        "id:str kind:str digest:bytes participant:int key:bytes scopes:str label:str issued_at:int expires_at:int "
        "revoked_at:int",
        "id",
    )
    create_table("spent_nonces", "nonce:str expires_at:int", "nonce")
    create_table("clock", "id:int newest_s:int", "id")


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


def _create_people() -> None:
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


def _create_directory() -> None:
    create_table("directories", "state:str issued_at:int digest:bytes content:bytes", "state")
    create_table(
        "directory_entries",
        "participant:int name:str gln:str gateway:str public_key:bytes issued_at:int signature:bytes contact:str",
        "participant",
    )
    create_table(
        "admissions",
        "address:bytes participant:int name:str gln:str gateway:str public_key:bytes issued_at:int signature:bytes "
        "contact:str",
        "address",
    )


def _create_handovers() -> None:
    create_table(
        "handover_deliveries",
        "sequence:int recipient:int state:str text:bytes digest:bytes attempts:int reason:str next_try_ms:int "
        "changed_ms:int",
        "sequence recipient",
        "state next_try_ms",
    )
    create_table("handover_cursor", "id:int sequence:int", "id")
    create_table(
        "handovers_kept",
        "sequence:int digest:bytes sender:int kept_ms:int names:int documents:int bundle:bytes",
        "sequence digest",
    )
    create_table(
        "handover_given", "root:bytes recipient:int sequence:int", "root recipient sequence", "sequence recipient"
    )
    create_table("handover_erasures", "root:bytes path:str contract:str record:int signature:bytes", "root path")


def _create_planning() -> None:
    create_table(
        "planning_leaves",
        "leaf:bytes call:bytes what:str owner:int stream:bytes leaf_index:int salt:bytes entry:str size:int "
        "proof:bytes sequence:int",
        "leaf",
        "stream leaf_index",
        "call what",
        "sequence",
    )
    create_table(
        "planning_calls", "digest:bytes leaf:bytes coordinator:int closes:int objective:str asked:str", "digest"
    )
    create_table(
        "planning_plans", "digest:bytes call:bytes leaf:bytes claims_root:bytes place:int", "digest", "call place"
    )
    create_table("planning_receipts", "offer:bytes call:bytes received_at:int signature:bytes", "offer")
    create_table(
        "planning_attempts",
        "call:bytes number:int begun_ms:int cpu_s:int seed:int until_ms:int entry:str plan:str moved:int steps:str "
        "problem:str",
        "call number",
        "until_ms",
    )


def _create_forecasts() -> None:
    create_table(
        "forecasts",
        "digest:bytes stream:bytes leaf_index:int cut_block:int cut_time:int document:str",
        "digest",
        "cut_block",
    )


def _create_setpoints() -> None:
    create_table(
        "setpoints",
        "number:int machine:int stream:bytes digest:bytes document:str proposed_at:int until:int",
        "number",
        "machine number",
        "digest",
    )


def _create_feedback() -> None:
    create_table(
        "feedback_causes",
        "id:bytes kind:str machine:int text:str since_s:int at_s:int record:int stream:bytes leaf:int leaf_hash:bytes "
        "outcome:str found_s:int number:int reason:str",
        "id",
        "number",
        "machine",
    )
    create_table(
        "feedback_steps",
        "cause:bytes number:int step:str state:str at_s:int stream:bytes leaf:int detail:str tries:int",
        "cause number",
        "state",
    )
    create_table(
        "feedback_conditions",
        "machine:int rung:int below:int since_s:int good:int counts:str cause:bytes before:int",
        "machine",
    )
    create_table("feedback_position", "id:int registry:int ledger:int", "id")
    create_table(
        "feedback_inspections", "model:int machine:int waiting:str before:str usual:str latest:str", "model machine"
    )
