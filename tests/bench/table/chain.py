"""Rows of what is read from a chain and written to it. The chain is anvil, in a process of its own that counts for no
side."""

import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from millmark.ledger.chain import (
    Chain,
    HttpTransport,
    Transaction,
    call_data,
    first_fees,
    sign_transaction,
    write_deployment,
)
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Anchor, Contract, OpenStream
from millmark.services.demo.consortium import Consortium, found_consortium, hash_of
from millmark.services.demo.plant import build_plant
from millmark.services.store import open_store
from tests.bench.gas import measure_gas
from tests.bench.table.rows import Figure, Measured
from tests.bench.table.sides import (
    ROOT,
    MissingPeerError,
    ask_in_turns,
    ask_tasks_in_turns,
    compare,
    open_side,
    open_sides,
    peer_python,
)
from tests.faults.chains import running_chain
from tests.faults.workload import Site, build_events, found_site
from tests.support.plant_store import draw_plant, write_plant

_ABI = ROOT / "ledger" / "artifacts" / "ITraceLedger.json"
_TRACED = 30
_MINED_S, _PAUSE_S = 30.0, 0.5
_TERMS = [1, 2, 0, 4_000_000_000, 0, "0x000000"]
"""Terms of the workload's orders, without their claims root."""


def measure_index_batches() -> Measured:
    """6,000 records, 50 a block."""
    return _measure_index(6_000, 50)


def measure_index_alone() -> Measured:
    """1,500 records, one a block."""
    return _measure_index(1_500, 1)


def _measure_index(records: int, batch: int) -> Measured:
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name, running_chain(Path(name), need_anvil=True) as running:
        site = found_site(Path(name), running.transport, running.profile, 1)
        _fill(site, running.transport, records, batch)
        write_deployment(Path(name) / "deployment.json", site.deployment)
        own = {"url": running.url, "deployment": f"{name}/deployment.json"}
        peer = {"url": running.url, "abi": str(_ABI), "ledger": site.deployment.ledger.hex()}
        with open_sides(Path(name), {"own": ("own.index", own), "web3": ("peers.index", peer)}) as (sides, missing):
            found = ask_in_turns(sides, "index", 5)
    if "web3" in found:
        figures["cpu"] = compare(found["own"], found["web3"], 1e6, "us")
        figures["wall"] = compare(found["own"], found["web3"], 1e6, "us", "wall")
    return Measured(figures, {clock: why for clock in ("cpu", "wall") for why in missing.values()})


def _fill(site: Site, transport: HttpTransport, records: int, batch: int) -> None:
    """Writes records, `batch` in each transaction, and so in each block."""
    chain = site.connect(transport)
    calls = [call_data(site.record(event)) for event in build_events(records)]
    joined = [chain.join_calls(Contract.LEDGER, calls[at : at + batch]) for at in range(0, records, batch)]
    # One by one: of an array, anvil takes some in another order, and leaves those without a block.
    first = chain.node.transaction_count(site.signer.address)
    for raw in _sign(chain, site, joined):
        chain.node.send(raw)
    deadline = time.monotonic() + _MINED_S
    while chain.node.transaction_count(site.signer.address) < first + len(joined) and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
        transport.request("evm_mine", [])  # it may also leave the last one
    if chain.sequence(Contract.LEDGER) != site.records + records:
        raise AssertionError("not every record is on the chain")


def _sign(chain: Chain, site: Site, calls: list[bytes]) -> list[bytes]:
    gas = chain.simulate(Contract.LEDGER, calls[0], site.signer.address)
    first, fees = chain.node.transaction_count(site.signer.address), first_fees(chain.node, chain.profile)
    return [
        sign_transaction(
            Transaction(
                chain.chain_id, first + place, fees.priority_fee_wei, 10 * fees.max_fee_wei, gas, chain.ledger, data
            ),
            site.signer,
        ).raw
        for place, data in enumerate(calls)
    ]


def measure_growth() -> Measured:
    """Traces, and the index of the same chain, in a store of 20,000 lots and in one of 200,000."""
    blocks, rounds, batch = 20, 5, 50
    with tempfile.TemporaryDirectory() as name, running_chain(Path(name), need_anvil=True) as running:
        site = found_site(Path(name), running.transport, running.profile, 1)
        # In the first round the index also takes the blocks in which the ledger was founded.
        _fill(site, running.transport, (rounds + 2) * blocks * batch, batch)
        write_deployment(Path(name) / "deployment.json", site.deployment)
        arguments = {"url": running.url, "deployment": f"{name}/deployment.json", "blocks": blocks}
        modules = {
            size: ("own.growth", arguments | _write_plant(Path(name), size, lots))
            for size, lots in (("small", 20_000), ("large", 200_000))
        }
        with open_sides(Path(name), modules) as (sides, _):
            figures = {}
            for task, scale, unit in (("index", 1e6, "us"), ("trace", 1e3, "ms")):
                found = ask_in_turns(sides, task, rounds)
                figures[task] = compare(found["large"], found["small"], scale, unit)
    return Measured(figures)


def _write_plant(folder: Path, name: str, lots: int) -> dict[str, object]:
    plant, url = draw_plant(lots, 1), f"sqlite:///{folder / name}.sqlite"
    with open_store(url) as store:
        write_plant(store, plant)
    # So that the follower begins there with the ledger that it is given.
    with closing(sqlite3.connect(folder / f"{name}.sqlite")) as database, database:
        database.execute("DELETE FROM chain_identity")
        database.execute("DELETE FROM cursor")
    sample = random.Random(1).sample(plant.finished, _TRACED)  # noqa: S311 - a sample, not a secret
    return {"database": url, "lots": [plant.subject(lot).hex() for lot in sample]}


def measure_write() -> Measured:
    """Records through the outbox, 50 a transaction, beside web3.py, one a transaction."""
    return _measure_write("batches", ("textbook", "pipelined"))


def measure_write_alone() -> Measured:
    """Records through the outbox, one a transaction."""
    return _measure_write("alone", ("pipelined",))


def _measure_write(task: str, ways: Sequence[str]) -> Measured:
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name, running_chain(Path(name), need_anvil=True) as running:
        # A ledger and a key for each side, so that neither meets the other's nonces.
        site = found_site(Path(name), running.transport, running.profile, 2)
        own = {"url": running.url, "seed": 1, "records": 1_000, "alone": 100}
        peer = {
            "url": running.url, "abi": str(_ABI), "ledger": site.deployment.ledger.hex(), "terms": _TERMS,
            "order": site.orders[0].hex(), "secret": site.signer.unsafe_secret().hex(),
            "chain_id": running.transport.request("eth_chainId", []), "singles": 20, "pipelined": 100,
        }  # fmt: skip
        with open_sides(Path(name), {"own": ("own.write", own), "web3": ("peers.write", peer)}) as (sides, missing):
            for way in ways if "web3" in sides else ():
                found = ask_tasks_in_turns(sides, {"own": task, "web3": way}, 4)
                figures[way] = compare(found["own"], found["web3"], 1e3, "ms")
                figures[f"{way} wall"] = compare(found["own"], found["web3"], 1e3, "ms", "wall")
    return Measured(
        figures, {f"{way}{clock}": why for way in ways for clock in ("", " wall") for why in missing.values()}
    )


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
