"""`millmark plan omission`: proof that a coordinator left an offer out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import Chain, fetch_headers, fetch_proofs
from millmark.ledger.checkpoint import MAX_CHECKPOINT_BYTES, parse_checkpoint, verify_ancestry, verify_believed
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.headers import BlockHeader
from millmark.ledger.slots import KeySlots, slots_of
from millmark.ledger.store import Registry, Rows
from millmark.ledger.store.rows import KeyRow
from millmark.ledger.trust import MAX_TRUST_BYTES, TrustFile, parse_trust
from millmark.services.commands.context import open_context
from millmark.services.commands.plan.desk import Desk, choose, open_desk, short_hash
from millmark.services.commands.plan.group import PLAN
from millmark.services.files import read_bounded, write_private_whole
from millmark.services.output import AsJson, print_json, print_lines
from millmark.services.planning.errors import OmissionRefusedError
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
from millmark.services.planning.papers import OpenedLeaf, parse_seal
from millmark.services.planning.reading import find_claims, need_call
from millmark.services.planning.repository import LeafRow, What

__all__: list[str] = []


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
    from millmark.services.client import open_gateway  # noqa: PLC0415 - to check a proof takes no gateway
    from millmark.services.commands.acts.names import At  # noqa: PLC0415 - as above

    with open_gateway(context.obj) as gateway, open_desk(At(gateway, context.obj)) as desk:
        made = _build(desk, name)
    write_private_whole(path, encode_omission(made))
    print_lines(f"written to {path}; anybody checks it with: millmark plan omission {path.name} --trust FILE")


def _build(desk: Desk, name: str) -> Omission:
    """Raises NotFoundError without a receipt, OmissionRefusedError if the plan lists the offer."""
    with desk.reading() as shelf:
        rows = [row for one in shelf.planning.calls() for row in shelf.planning.leaves(one.digest, What.OFFER)]
        row = choose("offer", name, rows, lambda row: row.leaf)
        call, plans = need_call(shelf.rows, row.call), shelf.planning.plans(row.call)
        receipt = shelf.planning.receipts([row.leaf]).get(row.leaf)
        if receipt is None:
            raise NotFoundError("the coordinator signed no receipt for this offer", hint="see `millmark plan offers`")
        if not plans:
            raise NotFoundError("no plan for its call is known here", hint="wait until the coordinator has made one")
        leaf = shelf.planning.leaf(plans[-1].leaf)
        claims = find_claims(shelf.book, plans[-1].claims_root)
    if leaf is None or claims is None:
        raise NotFoundError("the plan's document is not here", hint="its coordinator's gateway hands it over")
    seal, shown = parse_seal(leaf.value), claims.disclose([(one,) for one in SHOWN])
    signed = Receipt(receipt.call, receipt.offer, receipt.received_at, receipt.signature)
    signers = [one.recover_signer(call.chain_id, call.ledger) for one in (signed, seal)]
    found = Omission(call, _open(row), signed, seal, shown, _prove_keys(desk.opened.chain(), signers))
    with desk.reading() as shelf:
        verify_omission(found, _by_index(shelf.rows))  # nothing is written that proves nothing
    return found


def _open(row: LeafRow) -> OpenedLeaf:
    return OpenedLeaf(LeafKind.OFFER, row.leaf_index, row.salt, row.value, ())


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
