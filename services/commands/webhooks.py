"""`millmark webhooks`: manage the webhooks through which this gateway reports records."""

from __future__ import annotations

import time

import typer

from millmark.services.commands.context import Context, open_context
from millmark.services.output import AsJson, print_json, print_lines, print_table
from millmark.services.webhooks.feed import parse_position
from millmark.services.webhooks.http_post import Mode
from millmark.services.webhooks.subscriptions import Subscriber, Subscriptions

_OPERATOR = Subscriber(0, owner=True)
"""The person at the command line, who may manage the webhooks of all participants."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Add, list, resume and remove webhooks of this gateway.")
    group.command(
        "add", epilog="Example: millmark webhooks add https://erp.example/millmark --participant 3 --kind LotReceived"
    )(run_add)
    group.command("list", epilog="Example: millmark webhooks list --json")(run_list)
    group.command("resume", epilog="Example: millmark webhooks resume 4f1c09aa27de4f1c")(run_resume)
    group.command("secret", epilog="Example: millmark webhooks secret 4f1c09aa27de4f1c")(run_secret)
    group.command("remove", epilog="Example: millmark webhooks remove 4f1c09aa27de4f1c")(run_remove)
    app.add_typer(group, name="webhooks")


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


def run_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the webhooks with the position each has reached, and why a stopped one stopped."""
    with open_context(context.obj) as opened:
        found = [one.to_json() for one in _subscriptions(opened).list(_OPERATOR)]
    if as_json:
        print_json(context, {"webhooks": found})
        return
    columns = ("id", "participant", "url", "state", "position", "attempts", "reason")
    print_table("webhooks", list(columns), [[one[name] or "" for name in columns] for one in found])


def run_resume(context: typer.Context, id_: str = typer.Argument(metavar="ID", help="Id that `list` shows.")) -> None:
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
