"""`millmark outbox` and `webhooks`: records that wait for the ledger, and webhooks that report those on it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from millmark.ledger.errors import SettingsError, SubmitError
from millmark.ledger.signatures import parse_address, to_checksum
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord
from millmark.ledger.submit import adopt_records, reopen_records
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.output import AsJson, print_json, print_lines, print_table
from millmark.services.text.outbox import describe_waiting
from millmark.services.webhooks.http_post import Mode
from millmark.services.webhooks.subscriptions import Subscriber, Subscriptions, parse_position

_MAX = 1000
_WRONG_ORDER = "LotOrderWrong"
Keys = Annotated[list[str], typer.Argument(help="Idempotency keys, as `millmark outbox list` shows them.")]

Named = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEYS]...", help="Idempotency keys, as `millmark outbox list` shows them."),
]
Failed = Annotated[
    bool, typer.Option("--failed", help="All records that failed or, to cancel, that wait for a cancelled one.")
]


def register(app: typer.Typer) -> None:
    outbox = typer.Typer(no_args_is_help=True, help="List and control the records queued for the ledger.")
    outbox.command("list", epilog="Example: millmark outbox list --json")(run_list)
    outbox.command("pause", epilog="Example: millmark outbox pause order-17")(run_pause)
    outbox.command("resume", epilog="Example: millmark outbox resume order-17")(run_resume)
    outbox.command("cancel", epilog="Example: millmark outbox cancel order-17 order-18")(run_cancel)
    outbox.command("hand-over", epilog="Example: millmark outbox hand-over 0x... 0x...")(run_hand_over)
    outbox.command("adopt", epilog="Example: millmark outbox adopt 0x...")(run_adopt)
    outbox.command("reopen", epilog="Example: millmark outbox reopen 0x...")(run_reopen)
    app.add_typer(outbox, name="outbox")
    webhooks = typer.Typer(no_args_is_help=True, help="Add, list, resume and remove webhooks of this gateway.")
    webhooks.command(
        "add", epilog="Example: millmark webhooks add https://erp.example/millmark --participant 3 --kind LotReceived"
    )(run_add)
    webhooks.command("list", epilog="Example: millmark webhooks list --json")(run_list_webhooks)
    webhooks.command("resume", epilog="Example: millmark webhooks resume 4f1c09aa27de4f1c")(run_resume_webhook)
    webhooks.command("secret", epilog="Example: millmark webhooks secret 4f1c09aa27de4f1c")(run_secret)
    webhooks.command("remove", epilog="Example: millmark webhooks remove 4f1c09aa27de4f1c")(run_remove)
    app.add_typer(webhooks, name="webhooks")


def run_list(
    context: typer.Context,
    most: Annotated[int, typer.Option(min=1, max=_MAX, help="Number of records to show, oldest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the records that are not final on the ledger yet, and why each is waiting."""
    with open_context(context.obj) as opened:
        found = Outbox(opened.store).unfinished(most)
    now = time.time()
    rows = [describe_waiting(record, now) for record in found]
    if as_json:
        print_json(context, {"records": rows})
    elif not rows:
        print_lines("the outbox is empty")
    else:
        print_table("outbox", list(rows[0]), [list(row.values()) for row in rows])


def run_pause(context: typer.Context, keys: Keys) -> None:
    """Hold back records that were not sent yet, and the records that depend on them."""
    with open_context(context.obj) as opened:
        Outbox(opened.store).pause(keys)
    print_lines(*(f"{key} is paused" for key in keys))


def run_resume(
    context: typer.Context,
    keys: Named = None,
    failed: Failed = False,
    unchanged: Annotated[
        bool, typer.Option("--unchanged", help="Also retry a record that names the wrong order of a lot.")
    ] = False,
) -> None:
    """Release paused records, and retry failed ones. They go out as they are: what they say cannot be changed."""
    with open_context(context.obj) as opened:
        outbox = Outbox(opened.store)
        found = [one for one in outbox.failed(_MAX) if one.state is OutboxState.FAILED]
        keys = _choose(keys, found, failed)
        refused = {key: record for key, record in outbox.find(keys).items() if record.state is OutboxState.FAILED}
        for key, record in refused.items():
            if record.error_name == _WRONG_ORDER and not unchanged:
                raise SubmitError(
                    f"{key} would go out with the same order, for which it was refused: {record.error}",
                    hint="cancel it and have it made anew (of a certificate: send the samples again, as new events); "
                    "--unchanged if the lot has come into that order since",
                )
        outbox.resume(keys)
    for key in keys:
        before = f", unchanged; it was refused: {refused[key].error}" if key in refused else ""
        print_lines(f"{key} is queued again{before}")


def run_cancel(context: typer.Context, keys: Named = None, failed: Failed = False) -> None:
    """Cancel records. One that was already sent may still get onto the ledger; `millmark outbox list` shows it until
    that is decided."""
    with open_context(context.obj) as opened:
        outbox = Outbox(opened.store)
        found = outbox.cancel(_choose(keys, outbox.failed(_MAX), failed))
    for record in found:
        over = record.state is OutboxState.CANCELLED
        print_lines(f"{record.idempotency_key} is {'cancelled' if over else 'being cancelled; it was already sent'}")


def run_hand_over(
    before: Annotated[str, typer.Argument(help="Address of the present key: revoked, or about to be.")],
    after: Annotated[str, typer.Argument(help="Address of another key of the same participant.")],
    context: typer.Context,
) -> None:
    """Reassign the records queued for one key to another one. Repeat the command if some were being sent."""
    keys = parse_address(before), parse_address(after)
    with open_context(context.obj) as opened:
        count = Outbox(opened.store).hand_over(*keys)
    print_lines(f"{count} records are now queued for {to_checksum(keys[1])}")


def _choose(keys: list[str] | None, found: list[QueuedRecord], failed: bool) -> list[str]:
    """The named keys, or those of all `found` records. Raises SettingsError if both or neither are asked for."""
    if failed == bool(keys):
        raise SettingsError("it is not said which records", hint="give idempotency keys, or --failed for all")
    return [one.idempotency_key for one in found] if failed else keys or []


def run_adopt(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Address of the signing key, as the error names it.")],
    relay: Annotated[bool, typer.Option("--relay", help="It is the key that relays the records of others.")] = False,
) -> None:
    """Take in the records that a key has on the ledger and that this database does not know, after it was restored from
    an older backup. Waiting records that are on the ledger become final; then recording goes on."""
    address = parse_address(key)
    with open_context(context.obj) as opened, audited(opened.settings, "outbox adopt", key):
        unreachable = opened.catch_up()
        if unreachable is not None:
            raise unreachable
        found = adopt_records(opened.chain(), opened.store, address, relay=relay)
    print_lines(
        f"{found.transactions} transactions of {to_checksum(address)} were taken in from the ledger:",
        f"{found.waiting} waiting records are final, {found.unknown} records were not known here",
    )
    if found.unknown and not relay:
        print_lines(
            "their names and claims are missing from the private book: repeat their requests with the same "
            "Idempotency-Key, or import bundles that show them"
        )


def run_reopen(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Address of the signing key, as the error names it.")],
) -> None:
    """Send the records of a key again that were final in blocks which the chain lost, because it was set back. They go
    out with the same nonces, so none is made twice."""
    address = parse_address(key)
    with open_context(context.obj) as opened, audited(opened.settings, "outbox reopen", key):
        count = reopen_records(opened.chain(), opened.store, address)
    print_lines(f"{count} records of {to_checksum(address)} are sent again")


_OPERATOR = Subscriber(0, owner=True)
"""The person at the command line, who may manage the webhooks of all participants."""


def run_add(
    context: typer.Context,
    url: str = typer.Argument(help="https URL with a public address and port 443 or 8443."),
    participant: int = typer.Option(
        0, "--participant", min=0, help="Participant whose permissions apply; 0 for your company."
    ),
    kinds: list[str] = typer.Option([], "--kind", help="Kind of record; may be repeated. All by default."),
    subjects: list[str] = typer.Option([], "--subject", help="Order or lot (0x...); may be repeated. All by default."),
    mode: Mode = typer.Option(Mode.STRUCTURED, "--mode", help="Content mode of CloudEvents over HTTP."),
    after: str | None = typer.Option(None, "--after", help="Position in the feed to start after; 0.0 for all records."),
    as_json: AsJson = False,
) -> None:
    """Add a webhook and print its secret, which is not shown again."""
    with open_context(context.obj) as opened:
        own = participant in (0, opened.settings.gateway_participant)
        made = _subscriptions(opened).add(
            Subscriber(participant, owner=own),
            url,
            mode=mode,
            kinds=kinds,
            subjects=subjects,
            after=None if after is None else parse_position(after),
            now_ms=_now_ms(),
        )
    _show_secret(context, made.to_json(), as_json)


def run_list_webhooks(context: typer.Context, as_json: AsJson = False) -> None:
    """List the webhooks with the position each has reached, and why a stopped one stopped."""
    with open_context(context.obj) as opened:
        found = [one.to_json() for one in _subscriptions(opened).list(_OPERATOR)]
    if as_json:
        print_json(context, {"webhooks": found})
        return
    columns = ("id", "participant", "url", "state", "position", "attempts", "reason")
    print_table("webhooks", list(columns), [[one[name] or "" for name in columns] for one in found])


def run_resume_webhook(
    context: typer.Context, id_: str = typer.Argument(metavar="ID", help="Id that `list` shows.")
) -> None:
    """Resume a parked webhook after its last delivery; a running gateway then delivers at once."""
    with open_context(context.obj) as opened:
        found = _subscriptions(opened).resume(_OPERATOR, id_)
    print_lines(f"{found.id} continues after {found.position}")


def run_secret(
    context: typer.Context,
    id_: str = typer.Argument(metavar="ID", help="Id that `list` shows."),
    as_json: AsJson = False,
) -> None:
    """Create a new secret and print it once. For one more day, deliveries are signed with the old secret too."""
    with open_context(context.obj) as opened:
        made = _subscriptions(opened).rotate(_OPERATOR, id_, now_ms=_now_ms())
    _show_secret(context, made.to_json(), as_json)


def run_remove(context: typer.Context, id_: str = typer.Argument(metavar="ID", help="Id that `list` shows.")) -> None:
    """Remove a webhook permanently."""
    with open_context(context.obj) as opened:
        _subscriptions(opened).remove(_OPERATOR, id_)
    print_lines(f"removed {id_}")


def _subscriptions(opened: Context) -> Subscriptions:
    return Subscriptions(opened.store, loopback=opened.settings.webhook_loopback)


def _show_secret(context: typer.Context, made: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(context, made)
        return
    webhook = made["webhook"]
    assert isinstance(webhook, dict)  # noqa: S101 - for the type checker
    print_lines(str(made["secret"]), f"this secret signs the deliveries of {webhook['id']}; it is not shown again")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
