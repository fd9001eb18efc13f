"""`millmark plan offer`, `withdraw`, `offers`, `omission`, `propose`, `accept`, `decline`: offers, and a plan's rows.

The rows become assignments that both sides committed to. An omission proves that a coordinator left an offer out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import Chain, fetch_headers, fetch_proofs
from millmark.ledger.checkpoint import MAX_CHECKPOINT_BYTES, parse_checkpoint, verify_ancestry, verify_believed
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.headers import BlockHeader
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import CauseKind, Plan, Row
from millmark.ledger.slots import KeySlots, slots_of
from millmark.ledger.store import Registry, Rows
from millmark.ledger.store.rows import KeyRow
from millmark.ledger.trust import MAX_TRUST_BYTES, TrustFile, parse_trust
from millmark.services import client
from millmark.services.commands.acts.act import Done, Home, Listing
from millmark.services.commands.acts.words import AssignmentNumber, Reason, party
from millmark.services.commands.context import open_context
from millmark.services.commands.plan.planner import (
    PLAN,
    CallName,
    Planner,
    choose,
    open_planner,
    parse_moment,
    short_hash,
)
from millmark.services.files import read_bounded, write_private_whole
from millmark.services.output import AsJson, print_json, print_lines, warn
from millmark.services.planning.calendar import read_calendar
from millmark.services.planning.consent import build_decline, find_proposals, find_waiting, judge_waiting
from millmark.services.planning.errors import OmissionRefusedError
from millmark.services.planning.offers import (
    build_new_offers,
    count_disclosed,
    find_own_machines,
    find_withdrawals,
    grid_of,
    need_open_call,
)
from millmark.services.planning.omission import (
    MAX_OMISSION_BYTES,
    SHOWN,
    FoundKey,
    Omission,
    Receipt,
    RegistryProof,
    encode_omission,
    find_key_in,
    parse_omission,
    verify_omission,
)
from millmark.services.planning.reading import find_claims, need_call
from millmark.services.planning.repository import What
from millmark.services.planning.showing import OfferShown
from millmark.services.planning.stream_entries import OpenedLeaf, parse_seal, seal_offers
from millmark.services.views import RecordStatus


@PLAN.act("offer", "millmark plan offer 0x3c4d5e --until 2d")
def offer(
    at: Home,
    call: CallName = None,
    until: Annotated[
        str, typer.Option(help="Until when the offers are valid: a time in UTC, or from now on 8h or 2d.")
    ] = "7d",
    machine: Annotated[
        list[str] | None, typer.Option(help="Offer this machine alone; by default all of the calendar.")
    ] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, max=50, help="Most windows for an operation; by default as in the calendar.")
    ] = None,
) -> Iterator[Done]:
    """Offer machines for the operations of a call, from calendar.toml in the home.

    The calendar stays here. Only the offered windows and their prices go to the coordinator and to the readers that
    the call names.
    """
    calendar = read_calendar(at.home)
    if windows is not None:
        calendar = calendar.with_windows(windows)
    with open_planner(at) as planner:
        digest, valid = planner.call(call).digest, parse_moment(until, "--until", planner.now_s())
        named = None if machine is None else {at.machine(one) for one in machine}
        with planner.reading() as tables:
            wanted = need_open_call(tables, digest, calendar.file.unit, planner.now_s())
            machines = find_own_machines(tables, wanted, calendar, planner.me, at.machine, named)
            made = build_new_offers(tables, wanted, calendar, machines, planner.me, valid)
        for line in (*calendar.clock_changes(grid_of(wanted)), *made.passed):
            warn(f"millmark: {line}")
        new = made.offers
        if not new:
            streams = [planner.stream(None, one.number) for one in machines]
            lost = [one for own in streams if (one := planner.anchor_rest(own)) is not None]
            if not lost:
                raise InputError("there is nothing new to offer for this call", hint="see `millmark plan offers`")
            yield from lost
        for number in sorted({one.machine for one in new}):
            yield _record(planner, number, [one for one in new if one.machine == number])


@PLAN.act("withdraw", "millmark plan withdraw 0x3c4d5e 0x4d5e6f")
def withdraw(
    at: Home,
    offers: Annotated[list[str], typer.Argument(metavar="OFFER...", help="As `millmark plan offers` shows them.")],
) -> Iterator[Done]:
    """Take own offers back, before their call closes."""
    with open_planner(at) as planner:
        with planner.reading() as tables:
            rows = [row for one in tables.planning.calls() for row in tables.planning.leaves(one.digest, What.OFFER)]
            chosen = [choose("offer", name, rows, lambda row: row.leaf) for name in offers]
            by_machine = find_withdrawals(tables, chosen, planner.me, planner.now_s())
        for number, entries in by_machine.items():
            yield _record(planner, number, entries)


@PLAN.list("offers", "millmark plan offers 0x3c4d5e", of="offers", whole=True)
def list_offers(at: Home, call: CallName = None) -> Listing:
    """List the offers for a call that are known here, whether each counts, and whether its receipt is here."""
    with open_planner(at) as planner:
        digest = planner.call(call).digest
    columns = {
        "offer": lambda one: short_hash(bytes.fromhex(one["offer"][2:])),
        "of": lambda one: party(one["owner"]),
        "machine": lambda one: one["machine"],
        "order": lambda one: one["order"][:12],
        "operation": lambda one: one["operation"] + 1,
        "windows": lambda one: len(one["windows"]),
        "from": lambda one: min(window["price"] for window in one["windows"]),
        "receipt": lambda one: "signed" if one["received_at"] else "-",
        "counts": lambda one: "yes" if one["counts"] else one["reason"],
    }
    return Listing("offers", at.gateway.pages(OfferShown, "/v1/offers", call=digest), columns)


def _record(planner: Planner, machine: int, entries: Sequence[Offer] | Sequence[OfferWithdrawal]) -> Done:
    own = planner.stream(None, machine)
    with planner.writing() as tables:
        sealed = seal_offers(tables.connection, own, entries)
    done = planner.anchor(own, sealed)
    offers = [one for one in entries if isinstance(one, Offer)]
    if not offers:
        return Done(done, f"offers of machine {machine} that are withdrawn: {len(entries)}")
    windows, shown = sum(len(one.windows) for one in offers), count_disclosed(offers)
    said = f"machine {machine}: {len(offers)} offers with {windows} windows are made, which show {shown} free slots"
    return Done(done, said, "the coordinator, once the call has closed: millmark plan make")


@PLAN.app.command("omission", epilog="Example: millmark plan omission left-out.json --trust trust.json")
def omission(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The proof; with --of, where to write it.")],
    of: Annotated[
        str | None, typer.Option("--of", metavar="OFFER", help="Write the proof that this own offer was left out.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(help="Trust file, to check without a home: `millmark trust -o FILE`.", dir_okay=False)
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Co-signed checkpoint, if the trust file asks for one.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a proof that a coordinator left an offer out of a plan, or write one.

    Exit code 0: it is proved. 1: it is not. 2: the file is unusable.
    """
    if of is not None:
        _write(context, file, of)
        return
    found = parse_omission(read_bounded(file, MAX_OMISSION_BYTES))
    if trust is not None:
        offer = verify_omission(found, _offline(found, trust, checkpoint))
    else:
        with open_context(context.obj) as opened:
            opened.catch_up()
            with opened.store.reading() as connection:
                _verify_ledger(Registry(connection), found)
                offer = verify_omission(found, _by_index(Rows(connection)))
    if as_json:
        print_json(context, {"proved": True, "offer": to_hex(found.receipt.offer), "plan": to_hex(found.seal.plan)})
        return
    print_lines(
        f"proved: participant {found.call.coordinator} had offer {to_hex(found.receipt.offer)} of participant "
        f"{offer.owner} before its call closed, and plan {short_hash(found.seal.plan)} does not list it",
        "not proved: that its owner did not withdraw it; the coordinator shows the withdrawal if it did",
    )


def _write(context: typer.Context, path: Path, name: str) -> None:
    with client.open_gateway(context.obj) as gateway, open_planner(Home(gateway, context.obj)) as planner:
        made = _build(planner, name)
    write_private_whole(path, encode_omission(made))
    print_lines(f"written to {path}; anybody checks it with: millmark plan omission {path.name} --trust FILE")


def _build(planner: Planner, name: str) -> Omission:
    """Raises NotFoundError without a receipt, OmissionRefusedError if the plan lists the offer."""
    with planner.reading() as tables:
        rows = [row for one in tables.planning.calls() for row in tables.planning.leaves(one.digest, What.OFFER)]
        row = choose("offer", name, rows, lambda row: row.leaf)
        call, plans = need_call(tables.rows, row.call), tables.planning.plans(row.call)
        receipt = tables.planning.receipts([row.leaf]).get(row.leaf)
        if receipt is None:
            raise NotFoundError("the coordinator signed no receipt for this offer", hint="see `millmark plan offers`")
        if not plans:
            raise NotFoundError("no plan for its call is known here", hint="wait until the coordinator has made one")
        leaf = tables.planning.leaf(plans[-1].leaf)
        claims = find_claims(tables.book, plans[-1].claims_root)
    if leaf is None or claims is None:
        raise NotFoundError("the plan's document is not here", hint="its coordinator's gateway hands it over")
    seal, shown = parse_seal(leaf.value), claims.disclose([(one,) for one in SHOWN])
    signed = Receipt(receipt.call, receipt.offer, receipt.received_at, receipt.signature)
    signers = [one.recover_signer(call.chain_id, call.ledger) for one in (signed, seal)]
    found = Omission(
        call,
        OpenedLeaf(LeafKind.OFFER, row.leaf_index, row.salt, row.value, ()),
        signed,
        seal,
        shown,
        _prove_keys(planner.opened.chain(), signers),
    )
    with planner.reading() as tables:
        verify_omission(found, _by_index(tables.rows))  # nothing is written that proves nothing
    return found


def _prove_keys(chain: Chain, signers: Sequence[bytes]) -> RegistryProof:
    """What the Registry stores about these keys at the last final block."""
    number, registry = chain.final_number(), chain.contracts["Registry"]
    slots = [slot for address in signers for slot in slots_of(KeySlots, address)]
    proofs = fetch_proofs(chain.node, {registry: slots}, number)
    return RegistryProof(fetch_headers(chain.node, number, number), tuple(proofs.nodes.values()))


def _by_index(rows: Rows) -> Callable[[bytes], FoundKey | None]:
    """Looks keys up in the home's own index."""

    def find(address: bytes) -> FoundKey | None:
        row = rows.get(KeyRow, address)
        return None if row is None else FoundKey(row.participant, row.compromised_since)

    return find


def _offline(found: Omission, trust: Path, checkpoint: Path | None) -> Callable[[bytes], FoundKey | None]:
    if found.registry is None:
        raise OmissionRefusedError("it does not prove whose the keys are", hint="check it in a home, without --trust")
    believed: TrustFile = parse_trust(read_bounded(trust, MAX_TRUST_BYTES))
    signed = None if checkpoint is None else parse_checkpoint(read_bounded(checkpoint, MAX_CHECKPOINT_BYTES))

    def verify(headers: Sequence[BlockHeader]) -> None:
        verify_ancestry(headers, verify_believed(believed, signed))

    return find_key_in(found.registry, believed, found.call.chain_id, found.call.ledger, verify)


def _verify_ledger(registry: Registry, found: Omission) -> None:
    ledger = registry.identity()
    if ledger is None or (ledger.chain_id, ledger.ledger) != (found.call.chain_id, found.call.ledger):
        raise InputError("it is about another ledger than that of this home", hint="check it with --trust FILE")


@PLAN.act("propose", "millmark plan propose 0x3c4d5e")
def propose(at: Home, call: CallName = None) -> Iterator[Done]:
    """Propose the rows of the latest plan to the machines' owners, as its coordinator.

    Each proposal commits to its row. A row that is as it was in the plan before keeps its assignment; one that moved
    is cancelled first, with the plan and its cause as the reason.
    """
    with open_planner(at) as planner:
        with planner.reading() as tables:
            plan = tables.latest_plan(planner.choose_call(tables, call).digest)
            found = find_proposals(tables, plan)
        # All are stored before the first is waited for: the gateway sends them together.
        ended = [(one, at.gateway.cancel_assignment(one, reason=found.reason)) for one in found.cancelled]
        for number, record in ended:
            yield Done(record, f"assignment {number} is cancelled: it is not as in plan {short_hash(plan.digest)}")
        made = [(row, _propose(at, plan, row)) for row in found.rows]
        for row, record in made:
            said = f"operation {row.operation + 1} is proposed to machine {row.machine} as assignment {{sequence}}"
            yield Done(record, said, "the machine's owner: millmark plan accept")
    if not found.rows:
        raise InputError("all rows of the plan are proposed already", hint="see `millmark plan show`")


@PLAN.act("accept", "millmark plan accept")
def accept(
    at: Home,
    assignments: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ASSIGNMENT...]", help="Their numbers; by default all that are as they were offered."),
    ] = None,
) -> Iterator[Done]:
    """Accept rows of plans that were proposed to own machines, if they are as they were offered.

    The acceptance commits to the same row as the proposal.
    """
    with open_planner(at) as planner:
        with planner.reading() as tables:
            waiting = find_waiting(tables, planner.me, assignments)
            roots, refused = judge_waiting(tables, planner.me, waiting, planner.now_s())
        if refused and assignments:
            raise refused[0]
        for error in refused:
            warn(f"millmark: {error}")
        if not roots:
            raise InputError("no row that was proposed is as it was offered", hint="see `millmark assignments list`")
        made = {one: at.gateway.accept_assignment(one, claims_root=root) for one, root in roots.items()}
        for number, record in made.items():
            yield Done(record, f"assignment {number} is accepted", f"millmark assignments start {number}")


@PLAN.act("decline", "millmark plan decline 131 --cause machine-down --reason 'the spindle is worn'")
def decline(
    at: Home,
    assignment: AssignmentNumber,
    reason: Reason,
    cause: Annotated[CauseKind, typer.Option(help="What kind of thing it is.")] = CauseKind.DECLINED,
) -> Done:
    """Decline a row of a plan, with the kind of its cause."""
    with open_planner(at) as planner:
        with planner.reading() as tables:
            document = build_decline(tables, assignment, cause, reason)
        done = at.gateway.decline_assignment(assignment, reason=document)
    then = f"the coordinator: millmark plan replan --cause declined --assignment {assignment}"
    return Done(done, f"assignment {assignment} is declined", then)


def _propose(at: Home, plan: Plan, row: Row) -> RecordStatus:
    document = plan.row_document(row.key)
    return at.gateway.propose_assignment(
        order=row.order, operation=row.operation, machine=row.machine, claims=dict(document)
    )
