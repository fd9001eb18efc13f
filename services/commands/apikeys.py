"""`millmark apikeys`: API keys for machines that call this gateway."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import typer

from millmark.ledger.errors import ChainUnreachableError, InputError
from millmark.ledger.store import Registry
from millmark.services.access import CredentialKind, Scope, new_api_key, revoke
from millmark.services.access.repository import AccessRepository, CredentialRow
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.output import AsJson, print_json, print_lines, print_table

_DAY_S = 86_400
_INDEXING_S, _PAUSE_S = 5.0, 0.1


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys for machine clients.")
    group.command("new", epilog="Example: millmark apikeys new 3 --label 'warehouse ERP' --days 90")(run_new)
    group.command("list", epilog="Example: millmark apikeys list --json")(run_list)
    group.command("revoke", epilog="Example: millmark apikeys revoke 4f1c09aa27de")(run_revoke)
    app.add_typer(group, name="apikeys")


def run_new(
    context: typer.Context,
    participant: int = typer.Argument(help="Number of the participant that the key acts for."),
    label: str = typer.Option(..., "--label", help="Who uses the key; shown by `list`."),
    scopes: str = typer.Option(Scope.PROVENANCE.value, "--scopes", help=f"Comma-separated, out of {', '.join(Scope)}."),
    days: int = typer.Option(90, "--days", help="Days until it expires, 1 to 366."),
    as_json: AsJson = False,
) -> None:
    """Create an API key and print it. It is printed only once: only its SHA-256 is stored."""
    wanted = parse_scopes(scopes)
    with open_context(context.obj) as opened, audited(opened.settings, "apikeys new", str(participant)):
        _await_participant(opened, participant)
        text, row = new_api_key(opened.store, participant, wanted, label, now_s=int(time.time()), life_s=days * _DAY_S)
    if as_json:
        print_json(context, {"key": text, **_plain(row, row.issued_at)})
        return
    print_lines(text, f"expires {_moment(row.expires_at)}; it is not shown again; revoke it by its id, {row.id}")


def _await_participant(opened: Context, participant: int) -> None:
    """Returns once the index has the participant, whose key may have been accepted a moment ago; and after a few
    seconds in any case, or at once where no chain is followed."""
    deadline = time.monotonic() + _INDEXING_S
    while opened.settings.chain_url is not None and time.monotonic() < deadline:
        with opened.store.reading() as connection:
            if Registry(connection).participant(participant) is not None:
                return
        if isinstance(opened.catch_up(), ChainUnreachableError):
            return  # so the index is all that is known
        time.sleep(_PAUSE_S)


def run_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the API keys, without their secrets."""
    with open_context(context.obj) as opened, opened.store.reading() as connection:
        rows = AccessRepository(connection).credentials(CredentialKind.API_KEY.value)
    plain = [_plain(row, int(time.time())) for row in rows]
    if as_json:
        print_json(context, {"keys": plain})
        return
    columns = ("id", "participant", "label", "scopes", "expires_at", "state")
    cells = [[_cell(one[name]) for name in columns] for one in plain]
    print_table("API keys", [name.replace("_at", "") for name in columns], cells)


def run_revoke(context: typer.Context, id_: str = typer.Argument(metavar="ID", help="Id that `list` shows.")) -> None:
    """Revoke an API key, immediately and irreversibly."""
    with open_context(context.obj) as opened, audited(opened.settings, "apikeys revoke", id_):
        revoke(opened.store, id_, CredentialKind.API_KEY, now_s=int(time.time()))
    print_lines(f"revoked {id_}")


def parse_scopes(text: str) -> frozenset[Scope]:
    """Reads scopes separated by commas. Raises InputError naming the first unknown one."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in list(Scope):
            raise InputError(f"unknown scope {word[:60]!a}", hint=f"use {', '.join(Scope)}")
    return frozenset(Scope(word) for word in words)


def _plain(row: CredentialRow, now_s: int) -> dict[str, object]:
    state = "revoked" if row.revoked_at else "expired" if now_s >= row.expires_at else "active"
    return {
        "id": row.id,
        "participant": row.participant,
        "label": row.label,
        "scopes": row.scopes.split(),
        "issued_at": _moment(row.issued_at),
        "expires_at": _moment(row.expires_at),
        "state": state,
    }


def _moment(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, list) else value
