"""Gas per record of every kind: as in the snapshot, and under its bar.

After a deliberate change: `scripts/bench gas --json`, and take its `kinds` over into tests/vectors/gas.json.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from millmark.ledger.records import RECORD_TYPES, Contract
from tests.bench.gas import BATCH, GATED_PARTS, SAMPLED_LOTS, measure_gas
from tests.support.engines import running_anvil
from tests.support.toolchain import describe_missing

pytestmark = pytest.mark.integration

SNAPSHOT: dict[str, int] = json.loads((Path(__file__).parents[1] / "vectors" / "gas.json").read_text())
NOISE = 30
"""A zero byte in a random hash is 12 gas cheaper than another; over 50 records that nearly levels out."""
FEW_NOISE = 150
"""Of fewer records it does not: a challenge has some 300 random bytes, one or two of them zero, at times six."""
MANY_NOISE = 10_000
"""A record of many lots names their order once for each: 3,072 gas for a zero byte in it."""
NEW, UPDATE, ANCHOR, TRANSACTION = 67_000, 31_000, 25_000, 21_000
"""The first two are 3 % above what they were when words were packed by hand: sources that can be read are worth it."""
CERTIFICATE = 106_000
"""An entity of its own, its hash, and the inspector's standing on the lot: agreed, since they buy accountability."""
FURTHER = 35_000
"""Each lot more that a certificate by procedure is about."""
GATED = 36_000
"""An update that also reads the inspector's standing, the certificate and whether the issuer is in standing."""
LEAST_GATE = 3 * 2_100 + 32 * (16 - 4)
"""What a gate costs before anything is computed: order, standing and certificate are each read from a slot of their own
that no other record of the transaction has read (EIP-2929), and the order's name in the call is not zero (EIP-2028)."""
NEW_KINDS = {
    "PlaceOrder", "ProposeAssignment", "CommissionLot", "ReceiveLot", "IssueCertificate", "OpenStream",
    "ProposeRevision", "ProposeEnd",  # a proposal is kept until it is agreed to
    "WaiveGate",
}  # fmt: skip
OFFER = 50_000
"""A lot's first offer fills a slot of its own."""
OF_MANY = {
    f"IssueCertificate ({SAMPLED_LOTS} lots by procedure)": CERTIFICATE + (SAMPLED_LOTS - 1) * FURTHER,
    f"OfferCustody ({GATED_PARTS} gated parts)": 3_000_000 + NEW,
    f"AcceptCustody ({GATED_PARTS} gated parts)": 3_000_000,
}
BARS = OF_MANY | {
    "Anchor": ANCHOR,
    "IssueCertificate": CERTIFICATE,
    "IssueCertificate (again)": CERTIFICATE,
    "OfferCustody": OFFER,
    # A gate is four more slots to read, and what an acceptance names is one; together they pass the bar of an update,
    # see test_no_gate_fits_under_the_bars_without_one.
    "OfferCustody (through a gate)": OFFER + 10_000,
    "AcceptCustody (through a gate)": GATED + 3_000,
    "TransformLots (1 lot into 1)": NEW + UPDATE,
    "PackLots (8 lots)": 9 * UPDATE,
    "UnpackLots (8 lots)": 9 * UPDATE,
    "UnpackReclaimable (8 lots)": 9 * UPDATE,
    "Evaluation (16-32-16-2)": 110_000,
    "Evaluation (152-32-16-2)": 380_000,
    "Challenge (16-32-16-2)": 110_000 + UPDATE,
    "DemandOpening (alone)": TRANSACTION + NEW,  # and a participant's first: it fills a slot
    "PublishModel (16-32-16-2)": 975_000,  # what its bytes alone would cost in storage slots, unchecked
    "PublishModel (152-32-16-2)": 4_144_000,
}


@pytest.fixture(scope="module")
def totals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """On anvil, where it is: both engines use the same gas, and the embedded one takes ten times as long."""
    with nullcontext() if describe_missing() else running_anvil(tmp_path_factory.mktemp("anvil")) as transport:
        return measure_gas(transport)


@pytest.fixture(scope="module")
def measured(totals: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {kind: gas // count for kind, (count, gas) in totals.items()}


def test_gas_is_as_in_the_snapshot(totals: dict[str, tuple[int, int]], measured: dict[str, int]) -> None:
    assert measured.keys() == SNAPSHOT.keys()
    noise = {kind: NOISE if count >= BATCH else FEW_NOISE for kind, (count, _) in totals.items()}
    noise |= dict.fromkeys(OF_MANY, MANY_NOISE)
    moved = {kind: (SNAPSHOT[kind], gas) for kind, gas in measured.items() if abs(gas - SNAPSHOT[kind]) > noise[kind]}
    assert not moved


def test_every_kind_of_ledger_record_is_measured(measured: dict[str, int]) -> None:
    kinds = {kind.__name__ for kind in RECORD_TYPES if kind.contract is Contract.LEDGER}
    assert {kind.split(" (")[0] for kind in measured} == kinds | {"Evaluation", "PublishModel"}


def test_gas_is_under_its_bar(measured: dict[str, int]) -> None:
    bars = {kind: BARS.get(kind, NEW if kind in NEW_KINDS else UPDATE) for kind in measured}
    assert {kind: gas for kind, gas in measured.items() if gas > bars[kind]} == {}


def test_no_gate_fits_under_the_bars_without_one(measured: dict[str, int]) -> None:
    """An acceptance through a gate that computed nothing for it, and an offer: so these bars are higher."""
    assert measured["AcceptCustody"] + LEAST_GATE > UPDATE
    assert measured["OfferCustody"] + LEAST_GATE > OFFER
