"""`millmark people`: who may sign in at the company's gateway."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from millmark.ledger.errors import SettingsError
from millmark.services.access import OPERATOR
from millmark.services.access.people.people import INVITATION_LIFE_S, People, accepts_passkeys
from millmark.services.access.rules import PersonRole
from millmark.services.commands.audit import audited
from millmark.services.commands.context import Context, open_context
from millmark.services.output import AsJson, print_json, print_lines, print_table
from millmark.services.settings import Settings

_INVITED = "/portal/invitation"
_MOST = 2**31
Number = Annotated[int, typer.Argument(min=1, max=_MOST, help="Number of the person, as `list` shows it.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Invite, list and remove people who sign in at this gateway.")
    group.command("invite", epilog="Example: millmark people invite 'Ada Lovelace' --role recorder")(run_invite)
    group.command("list", epilog="Example: millmark people list --json")(run_list)
    group.command("role", epilog="Example: millmark people role 2 administrator")(run_role)
    group.command("remove", epilog="Example: millmark people remove 2")(run_remove)
    app.add_typer(group, name="people")


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
            context, {"link": link, "name": found.name, "role": found.role, "expires_at": _time(found.expires_at)}
        )
        return
    days = INVITATION_LIFE_S // 86_400
    print_lines(link, f"give it to {found.name}, {found.role}: it works once, for {days} days, and is not shown again")


def run_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List who may sign in."""
    with open_context(context.obj) as opened:
        found = _people(opened).listed()
    if as_json:
        listed = [
            {"person": one.number, "name": one.name, "role": one.role, "since": _time(one.added_at)} for one in found
        ]
        print_json(context, {"people": listed})
        return
    rows = [[one.number, one.name, one.role, _time(one.added_at)] for one in found]
    print_table("people", ["person", "name", "role", "since"], rows)


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


def _time(second_s: int) -> str:
    return f"{datetime.fromtimestamp(second_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
