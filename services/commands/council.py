"""`millmark council`: the companies that own the registry together, and what they decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.chain.council import (
    CALLS,
    Council,
    Motion,
    build_call,
    deploy_council,
    describe_call,
    find_council,
    kebab,
)
from millmark.ledger.errors import InputError
from millmark.ledger.records import TransferOwnership
from millmark.ledger.signatures import Signer, to_checksum
from millmark.ledger.store import Book
from millmark.services.commands.context import open_context
from millmark.services.output import AsJson, PassphraseFile, SignerUri, print_json, print_lines, print_table

_DAY_S = 24 * 3600
_Number = Annotated[int, typer.Argument(min=1, help="The motion's number, see `millmark council status`.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Own the registry together: propose, approve and execute motions.")
    group.command(
        "install", epilog="Example: millmark council install --members 1,2,3,4 --quorum 3 --signer keystore:owner.json"
    )(run_install)
    group.command("status", epilog="Example: millmark council status --json")(run_status)
    group.command("propose", epilog="Example: millmark council propose suspend 3 --signer keystore:own.json")(
        run_propose
    )
    group.command("approve", epilog="Example: millmark council approve 2 --signer keystore:own.json")(run_approve)
    group.command("retract", epilog="Example: millmark council retract 2 --signer keystore:own.json")(run_retract)
    group.command("execute", epilog="Example: millmark council execute 2 --signer keystore:own.json")(run_execute)
    app.add_typer(group, name="council")


def run_install(
    context: typer.Context,
    members: Annotated[str, typer.Option(help="Numbers of at least four participants, separated by commas.")],
    quorum: Annotated[int, typer.Option(help="How many must approve: more than half of them, but not all.")],
    signer: SignerUri,
    delay_days: Annotated[int, typer.Option(min=1, max=30, help="Days between approval and execution.")] = 3,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Deploy a council and offer it the registry. Owner of the registry only.

    The owner stays until the council accepts, by its first motion: so its members have shown that they can decide.
    """
    with open_context(context.obj) as opened:
        owner = opened.unlock(signer, passphrase_file)
        council = deploy_council(opened.chain(), owner, _members(members), quorum, delay_days * _DAY_S)
        opened.record(owner, [TransferOwnership(council.address)])
    print_lines(
        f"council {to_checksum(council.address)} is offered the registry",
        "now a member runs `millmark council propose accept-ownership`, and others approve it",
    )


def run_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the council's members and its motions, the latest first."""
    with open_context(context.obj) as opened:
        council, owns = find_council(opened.chain())
        with opened.store.reading() as connection:
            names = Book(connection).names()
        motions = [(motion, _called(council, motion)) for motion in council.motions()]
        if as_json:
            print_json(context, _as_json(council, owns, motions))
            return
        who = ", ".join(f"{number} {names.get(number, '')}".strip() for number in sorted(council.members))
        print_lines(
            f"council {to_checksum(council.address)} {'owns' if owns else 'is offered'} the registry",
            f"members {who}",
            f"quorum  {council.quorum} of {len(council.members)}, delay {council.delay_s // _DAY_S} days",
        )
    rows = [[one.number, called, one.state, _votes(one), _when(one)] for one, called in motions]
    print_table("motions", ["motion", "call", "state", "approved by", "time"], rows)


def run_propose(
    context: typer.Context,
    call: Annotated[str, typer.Argument(help="What to do: " + ", ".join(map(kebab, CALLS)) + ".")],
    signer: SignerUri,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Its arguments; lists separated by commas, roots may be left out.")
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Propose a call of the registry, of the ledger or of the council itself, and approve it. Members only."""
    with open_context(context.obj) as opened:
        council, _ = find_council(opened.chain())
        target, data = build_call(council.chain, council.address, call, arguments or [])
        number = council.propose(opened.unlock(signer, passphrase_file), target, data)
        shown = describe_call(council.chain, council.address, target, data)
    print_lines(f"motion {number}: {shown}", f"others approve it with `millmark council approve {number}`")


def run_approve(
    context: typer.Context, number: _Number, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Approve a motion. Members only; read its call first, with `millmark council status`."""
    _act(context, Council.approve, number, signer, passphrase_file)


def run_retract(
    context: typer.Context, number: _Number, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Take your company's approval of a motion back. Members only."""
    _act(context, Council.retract, number, signer, passphrase_file)


def run_execute(
    context: typer.Context, number: _Number, signer: SignerUri, passphrase_file: PassphraseFile = None
) -> None:
    """Make the call of a motion that was approved, after its delay. Anybody may."""
    _act(context, Council.execute, number, signer, passphrase_file)


def _act(
    context: typer.Context,
    act: Callable[[Council, Signer, int], None],
    number: int,
    signer: str,
    passphrase_file: Path | None,
) -> None:
    with open_context(context.obj) as opened:
        council, _ = find_council(opened.chain())
        act(council, opened.unlock(signer, passphrase_file), number)
        motion = council.motion(number)
        called = _called(council, motion)
        print_lines(f"motion {number}: {called}", f"{motion.state}, {_votes(motion)}{_when(motion, ', ')}")


def _members(text: str) -> list[int]:
    try:
        return sorted(int(one) for one in text.split(","))
    except ValueError:
        raise InputError(f"{text[:80]!r} is not a list of participants", hint="give numbers, such as 1,2,3,4") from None


def _called(council: Council, motion: Motion) -> str:
    return describe_call(council.chain, council.address, motion.target, motion.data)


def _votes(motion: Motion) -> str:
    return f"{', '.join(map(str, motion.approvals)) or 'nobody'} ({len(motion.approvals)} of {motion.needed})"


def _when(motion: Motion, before: str = "") -> str:
    if motion.state.name in ("EXECUTED", "OVER"):
        return ""
    if motion.state.name == "WAITING":
        return f"{before}executable at {_moment(motion.executable_at)}"
    return f"{before}lapses at {_moment(motion.lapses_at)}"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _as_json(council: Council, owns: bool, motions: list[tuple[Motion, str]]) -> Mapping[str, Json]:
    return {
        "council": "0x" + council.address.hex(),
        "owns": owns,
        "members": list(council.members),
        "quorum": council.quorum,
        "delay_s": council.delay_s,
        "motions": [
            {
                "motion": one.number,
                "call": called,
                "state": one.state.value,
                "approvals": list(one.approvals),
                "needed": one.needed,
                "executable_at": one.executable_at,
                "lapses_at": one.lapses_at,
            }
            for one, called in motions
        ],
    }
