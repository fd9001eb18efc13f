"""Rows of gas, which depends on nothing but code and state."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Anchor, OpenStream
from millmark.services.demo.consortium import Consortium, found_consortium, hash_of
from millmark.services.demo.plant import build_plant
from millmark.services.store import open_store
from tests.bench.gas import measure_gas
from tests.bench.table.declared import Figure, Measured
from tests.bench.table.sides import ROOT, MissingPeerError, open_side, peer_python
from tests.faults.chains import running_chain

__all__ = ["measure_anchor_gas", "measure_record_gas"]

_ENTRIES = 100_000
_NEW = ("CommissionLot", "OpenStream", "PlaceOrder", "ReceiveLot")
"""Records that begin the history of a subject."""
_UPDATES = (
    "AcceptAssignment",
    "AcceptCustody",
    "AcceptOrder",
    "AllocateLot",
    "CancelOrder",
    "CompleteOrder",
    "ConfirmDelivery",
    "DeallocateLot",
    "FinishAssignment",
    "Note",
    "QuarantineLot",
    "ReleaseLot",
    "ScrapLot",
    "StartAssignment",
)
"""Records about a subject that is there."""


def measure_anchor_gas() -> Measured:
    """One anchor over 100,000 new entries, alone in its transaction, on the chain that the peers are on."""
    with tempfile.TemporaryDirectory() as name, running_chain(Path(name), need_anvil=True) as chain:
        peers = _ask_eas(Path(name), chain.url, ("attest", "multiTimestamp"))
        with open_store("sqlite://") as store:
            own = _measure_anchor(found_consortium(store, chain.transport)) / _ENTRIES
    return Measured({peer: Figure(own, "gas", gas) for peer, gas in peers.items()})


def measure_record_gas() -> Measured:
    """The dearest record of those that begin a history, and of those about a subject that is there."""
    with tempfile.TemporaryDirectory() as name, running_chain(Path(name), need_anvil=True) as chain:
        peer = _ask_eas(Path(name), chain.url, ("multiAttest",))["multiAttest"]
    found = {kind: gas // count for kind, (count, gas) in measure_gas().items()}
    known = json.loads((ROOT / "tests" / "vectors" / "gas.json").read_text())
    # A zero byte in a random hash costs less than another one, so figures differ by some gas between runs.
    dearer = [kind for kind, gas in known.items() if found[kind] > gas * 1.01]
    new, update = (max(found[kind] for kind in kinds) for kinds in (_NEW, _UPDATES))
    cheapest = min(found[kind] for kind in _UPDATES)
    return Measured(
        {
            "new": Figure(new, "gas", peer, low=peer / new, high=peer / min(found[kind] for kind in _NEW)),
            "update": Figure(update, "gas", peer, low=peer / update, high=peer / cheapest),
            "dearer": Figure(len(dearer), "kinds"),
        },
        notes=tuple(f"{kind} takes {found[kind]} gas instead of {known[kind]}" for kind in dearer),
    )


def _ask_eas(folder: Path, url: str, tasks: tuple[str, ...]) -> dict[str, float]:
    artifacts = peer_python().parents[1] / "eas" / "artifacts" / "contracts"
    if not artifacts.exists():
        raise MissingPeerError("EAS's contracts are not installed")
    with open_side(folder, "peers.eas", {"url": url, "artifacts": str(artifacts)}) as side:
        return {task: float(side.ask(task).result) for task in tasks}


def _measure_anchor(consortium: Consortium) -> int:
    """Gas of an anchor that replaces an earlier one of its stream."""
    model = (ROOT / "quality" / "models" / "forda.bin").read_bytes()
    machine = build_plant(consortium, model, "{}").machines[0]
    identity = consortium.name(SubjectKind.STREAM, machine.owner, "urn:example:bench")
    consortium.record(machine.owner, [OpenStream(hash_of(identity), machine.number, bytes(32))])
    log = EvidenceLog()
    gas = []
    for size in (1, 1 + _ENTRIES):
        while log.tree.size < size:
            log.append({"n": log.tree.size})
        before = consortium.gas_by_kind().get("Anchor", (0, 0))[1]
        consortium.record(machine.owner, [Anchor(identity.subject, size, log.tree.root())])
        gas.append(consortium.gas_by_kind()["Anchor"][1] - before)
    return gas[-1]
