"""Makes bundles from a bundle world without the library's selection: picks the records and proofs that parts need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from millmark.ledger.bundle import (
    Bundle,
    HistoryShown,
    IdentityShown,
    RecordShown,
    ShownClaims,
    ShownEvidence,
    WithheldRecord,
)
from millmark.ledger.chain import fetch_headers, fetch_proofs, fetch_seals
from millmark.ledger.claims import Path as ClaimsPath
from millmark.ledger.events import Event, Recorded
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Names
from millmark.ledger.slots import (
    KeySlots,
    MachineSlots,
    ModelSlots,
    NameKeySlots,
    ParticipantSlots,
    StreamSlots,
    head_slot,
    machine_slot,
    slots_of,
)
from millmark.ledger.trust import BelievedBlock, TrustedContract, TrustFile
from tests.support.bundle_world import BundleWorld, inner


@dataclass
class Selection:
    """What a bundle about certain parts must contain."""

    records: dict[int, Recorded[Event]]
    histories: dict[bytes, list[int]]
    participants: set[int] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    machines: set[int] = field(default_factory=set)
    models: set[int] = field(default_factory=set)
    streams: set[bytes] = field(default_factory=set)


def make_bundle(
    world: BundleWorld,
    *names: str,
    withhold: bool = False,
    certificates: Iterable[int] | None = None,
    claims: Mapping[bytes, Sequence[ClaimsPath]] | None = None,
    later: int = 0,
) -> tuple[Bundle, TrustFile]:
    """The bundle of these lots at a block `later` blocks before the latest, and a trust file for the latest block.

    `certificates`: those whose evidence and inference to disclose, by default all. `claims`: paths to disclose by
    claims root, by default all paths of all documents. `withhold`: withhold the transformations of a shared lot into
    lots from which the parts do not descend.
    """
    parts = tuple(sorted(world.lots[name] for name in names))
    recorded = world.recorded()
    selection = select(recorded, parts, world)
    withheld = withheld_in(selection, parts) if withhold else {}
    chosen = [one for one in world.measured() if certificates is None or one in certificates]
    shown = {number: record for number, record in selection.records.items() if number not in withheld}
    chain = world.consortium.chain
    last = chain.final_number()
    identities = tuple(sorted(_identities(world, selection)))
    proofs = fetch_proofs(chain.node, _slots(world, selection, identities), last - later)
    bundle = Bundle(
        chain_id=chain.chain_id,
        registry=chain.registry,
        ledger=chain.ledger,
        ledger_id=chain.ledger_id,
        contracts=tuple(sorted(chain.contracts.values())),
        headers=fetch_headers(chain.node, last - later, last),
        signatures=(),
        nodes=tuple(sorted(proofs.nodes.values())),
        parts=parts,
        histories=tuple(
            HistoryShown(name, tuple(withheld.get(number, number) for number in numbers))
            for name, numbers in sorted(selection.histories.items())
        ),
        records=tuple(shown_record(shown[number]) for number in sorted(shown)),
        participants=tuple(sorted(selection.participants)),
        keys=tuple(sorted(selection.keys)),
        machines=tuple(sorted(selection.machines)),
        models=tuple(sorted(selection.models)),
        streams=tuple(sorted(selection.streams)),
        identities=identities,
        claims=tuple(_claims(world, shown, claims)),
        evidence=tuple(_evidence(world, shown, chosen)),
        inferences=tuple(world.inference_of(one) for one in sorted(chosen) if one in shown and not world.lied(one)),
        seals=fetch_seals(chain, last),
    )
    return bundle, make_trust(world)


def make_trust(world: BundleWorld) -> TrustFile:
    """The trust file for the latest block."""
    chain = world.consortium.chain
    last = chain.header(chain.final_number())
    proofs = fetch_proofs(chain.node, dict.fromkeys(chain.contracts.values(), ()), last.number)
    contracts = {}
    for name, address in sorted(chain.contracts.items()):
        account = proofs.accounts[address]
        assert account is not None
        contracts[name] = TrustedContract(address, account.code_hash)
    names = {company.number: company.name for company in world.consortium.companies}
    return TrustFile(chain.chain_id, chain.ledger_id, contracts, names, BelievedBlock(last.number, last.hash))


def select(recorded: Sequence[Recorded[Event]], parts: Iterable[bytes], world: BundleWorld) -> Selection:
    """Selects the histories that the parts need, and everything that their records refer to."""
    by_subject: dict[bytes, list[Recorded[Event]]] = {}
    for record in recorded:
        for name in record.histories:
            by_subject.setdefault(name, []).append(record)
    found = Selection({}, {})
    waiting = list(parts)
    while waiting:
        name = waiting.pop()
        if name in found.histories:
            continue
        found.histories[name] = [record.sequence for record in by_subject[name]]
        for record in by_subject[name]:
            found.records[record.sequence] = record
            waiting += record.event.needs(name, record.histories)
    for record in found.records.values():
        _name(found, record)
    for stream in found.streams:
        found.machines.add(world.machines[next(name for name, one in world.streams.items() if one == stream)])
    return found


def withheld_in(selection: Selection, parts: Iterable[bytes]) -> dict[int, WithheldRecord]:
    """The transformations of a shared lot into lots whose history is not in the bundle."""
    found = {}
    for number, record in selection.records.items():
        if not isinstance(record.event, LotsTransformed):
            continue
        made = record.event.outputs(record.histories)
        if not set(made) & set(selection.histories) and not set(record.histories) & set(parts):
            found[number] = WithheldRecord(record.kind, inner(record))
    return found


def shown_record(record: Recorded[Event]) -> RecordShown:
    return RecordShown(record.kind, record.sequence, record.participant, record.block_time, record.data)


def _name(found: Selection, record: Recorded[Event]) -> None:
    found.participants.update(record.event.numbers(Names.PARTICIPANT))
    if record.participant:  # of the registry's owner there is nothing to prove
        found.participants.add(record.participant)
        found.keys.add(record.key)
    found.machines.update(record.event.numbers(Names.MACHINE))
    found.models.update(record.event.numbers(Names.MODEL))
    found.streams.update(record.event.subjects(Names.STREAM))


def _slots(world: BundleWorld, selection: Selection, identities: Iterable[IdentityShown]) -> dict[bytes, list[bytes]]:
    chain = world.consortium.chain
    registry = [slot for one in selection.participants for slot in slots_of(ParticipantSlots, one)]
    registry += [slot for one in selection.keys for slot in slots_of(KeySlots, one)]
    registry += [slot for one in selection.machines for slot in slots_of(MachineSlots, one)]
    registry += [slot for one in selection.models for slot in slots_of(ModelSlots, one)]
    subjects = {(one.kind, one.identifier): one.subject for one in world.identities.values()}
    registry += [
        machine_slot(subjects[one.kind, one.identifier]) for one in identities if one.kind is SubjectKind.MACHINE
    ]
    for one in identities:
        registry += [slot for at in range(len(one.proofs) + 1) for slot in slots_of(NameKeySlots, one.creator, at)]
    ledger = [head_slot(one) for one in selection.histories]
    ledger += [slot for one in selection.streams for slot in slots_of(StreamSlots, one)]
    return {
        chain.contracts["LotOperations"]: [],
        chain.contracts["CertificateOperations"]: [],
        chain.contracts["Evaluator"]: [],
        chain.contracts["Forwarder"]: [],
        chain.registry: registry,
        chain.ledger: ledger,
    }


def _identities(world: BundleWorld, selection: Selection) -> list[IdentityShown]:
    machines = {number: name for name, number in world.machines.items()}
    named = {f"urn:example:{machines[number]}" for number in selection.machines}
    return [
        IdentityShown(one.kind, one.creator, one.identifier, one.proofs)
        for one in world.identities.values()
        if one.subject in selection.histories
        or one.subject in selection.streams
        or (one.kind is SubjectKind.MACHINE and one.identifier in named)
    ]


def _claims(
    world: BundleWorld, shown: Mapping[int, Recorded[Event]], chosen: Mapping[bytes, Sequence[ClaimsPath]] | None
) -> list[ShownClaims]:
    found = []
    for sequence in sorted(shown):
        for place, root in enumerate(shown[sequence].event.roots()):
            claims = world.documents.get(root)
            if claims is not None and (chosen is None or root in chosen):
                paths = claims.paths if chosen is None else chosen[root]
                found.append(ShownClaims(sequence, place, claims.disclose(paths)))
    return found


def _evidence(world: BundleWorld, shown: Mapping[int, Recorded[Event]], chosen: Iterable[int]) -> list[ShownEvidence]:
    found = [world.evidence_of(one) for one in chosen if one in shown]
    found += [world.finish_evidence_of(one) for one in world.finished if one in shown]
    return sorted(found, key=lambda one: one.record)
