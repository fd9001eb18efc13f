"""`millmark people` and `apikeys`: who may sign in at the company's gateway, and which machines may call it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from millmark.ledger.errors import ChainUnreachableError, InputError, SettingsError
from millmark.ledger.store import Registry
from millmark.services.access import OPERATOR, CredentialKind, Scope, new_api_key, revoke
from millmark.services.access.people.people import INVITATION_LIFE_S, People, accepts_passkeys
from millmark.services.access.repository import AccessRepository, CredentialRow
from millmark.services.access.rules import PersonRole
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.output import AsJson, print_json, print_lines, print_table, utc_text
from millmark.services.settings import Settings

_INVITED = "/portal/invitation"
_MOST = 2**31
Number = Annotated[int, typer.Argument(min=1, max=_MOST, help="Number of the person, as `list` shows it.")]


def register(app: typer.Typer) -> None:
    people = typer.Typer(no_args_is_help=True, help="Invite, list and remove people who sign in at this gateway.")
    people.command("invite", epilog="Example: millmark people invite 'Ada Lovelace' --role recorder")(run_invite)
    people.command("list", epilog="Example: millmark people list --json")(run_list)
    people.command("role", epilog="Example: millmark people role 2 administrator")(run_role)
    people.command("remove", epilog="Example: millmark people remove 2")(run_remove)
    app.add_typer(people, name="people")
    apikeys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys for machine clients.")
    apikeys.command("new", epilog="Example: millmark apikeys new 3 --label 'warehouse ERP' --days 90")(run_new_key)
    apikeys.command("list", epilog="Example: millmark apikeys list --json")(run_list_keys)
    apikeys.command("revoke", epilog="Example: millmark apikeys revoke 4f1c09aa27de")(run_revoke_key)
    app.add_typer(apikeys, name="apikeys")


def run_invite(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the person, as others will see it.")],
    role: Annotated[PersonRole, typer.Option("--role", help="What the person may do.")] = PersonRole.READER,
    again: Annotated[
        int | None, typer.Option("--again", min=1, max=2**31, help="Person who lost every way in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a link with which one person registers a passkey, or their company account. It works once."""
    with (
        open_context(context.obj) as opened,
        audited(opened.settings, f"people invite {role}", name if again is None else str(again)),
    ):
        _verify_way_in(opened.settings)
        found = _people(opened).invite(name, role, now_s=int(time.time()), person=again)
        link = f"{opened.settings.origin}{_INVITED}#{found.code}"
    if as_json:
        print_json(
            context, {"link": link, "name": found.name, "role": found.role, "expires_at": utc_text(found.expires_at)}
        )
        return
    days = INVITATION_LIFE_S // 86_400
    print_lines(link, f"give it to {found.name}, {found.role}: it works once, for {days} days, and is not shown again")


def run_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List who may sign in."""
    with open_context(context.obj) as opened:
        found = _people(opened).listed()
    columns = ["person", "name", "role", "since"]
    rows = [[one.number, one.name, one.role, utc_text(one.added_at)] for one in found]
    if as_json:
        print_json(context, {"people": [dict(zip(columns, row, strict=True)) for row in rows]})
        return
    print_table("people", columns, rows)


def run_role(
    context: typer.Context,
    person: Number,
    role: Annotated[PersonRole, typer.Argument(help="What the person may do from now on.")],
) -> None:
    """Change what a person may do. Sessions that are open follow at once."""
    with open_context(context.obj) as opened, audited(opened.settings, f"people role {role}", str(person)):
        _people(opened).change_role(person, role)
    print_lines(f"person {person} is {role} from now on")


def run_remove(context: typer.Context, person: Number) -> None:
    """Remove a person: passkeys, company account and open sessions are gone at once."""
    with open_context(context.obj) as opened, audited(opened.settings, "people remove", str(person)):
        _people(opened).remove(person, int(time.time()))
    print_lines(f"person {person} can no longer sign in; what was recorded stays, and so does the audit log")


def _verify_way_in(settings: Settings) -> None:
    """Raises SettingsError if nobody could take an invitation."""
    if settings.openid_issuer is None and not accepts_passkeys(settings.origin):
        raise SettingsError(
            f"nobody could sign in at {settings.origin}: browsers offer passkeys at a name over https, or at localhost",
            hint=f"run `millmark --home {settings.home} tls new NAME`, or set gateway_url or openid_issuer",
        )


def _people(opened: Context) -> People:
    settings = opened.settings
    owner = settings.gateway_participant
    if owner is None and settings.operator_signer is not None:
        owner = OPERATOR
    if owner is None:
        raise SettingsError("the settings do not say which company this is", hint="set gateway_participant")
    return People(opened.store, owner)


_DAY_S = 86_400
_INDEXING_S, _PAUSE_S = 5.0, 0.1


def run_new_key(
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
    print_lines(text, f"expires {utc_text(row.expires_at)}; it is not shown again; revoke it by its id, {row.id}")


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


def run_list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List the API keys, without their secrets."""
    with open_context(context.obj) as opened, opened.store.reading() as connection:
        rows = AccessRepository(connection).credentials(CredentialKind.API_KEY.value)
    plain = [_plain(row, int(time.time())) for row in rows]
    if as_json:
        print_json(context, {"keys": plain})
        return
    columns = ("id", "participant", "label", "scopes", "expires_at", "state")
    cells = [[" ".join(cell) if isinstance(cell := one[name], list) else cell for name in columns] for one in plain]
    print_table("API keys", [name.replace("_at", "") for name in columns], cells)


def run_revoke_key(
    context: typer.Context, id_: str = typer.Argument(metavar="ID", help="Id that `list` shows.")
) -> None:
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
        "issued_at": utc_text(row.issued_at),
        "expires_at": utc_text(row.expires_at),
        "state": state,
    }
