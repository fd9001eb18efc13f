"""The verifier's replay next to the contracts' own storage, for every lot and order of a small factory."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from millmark.ledger.bundle import encode_bundle
from millmark.ledger.headers import parse_header
from millmark.ledger.records import Contract, LotState, pack
from millmark.ledger.verify import Section, verify_bundle
from millmark.ledger.verify._proofs import StateProof
from millmark.ledger.verify._replay import replay, verify_histories
from millmark.ledger.verify._state import State
from tests.bench.commands import app as bench
from tests.proofs.forgeries import run_forgeries
from tests.support.bundle_content import publish, read_content
from tests.support.bundle_maker import make_bundle
from tests.support.bundle_world import BundleWorld, copy_bundle_world
from tests.support.stores import new_store
from tests.support.story import subjects

pytestmark = pytest.mark.integration

LOTS = (
    "bar",
    "scrap",
    "billet",
    "hip-blank",
    "rail-blank",
    "hip-1",
    "hip-2",
    "hip-3",
    "hip-4",
    "hip-5",
    "hip-8",
    "box",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BundleWorld]:
    with new_store(tmp_path_factory.mktemp("world")) as store:
        yield copy_bundle_world(store)[0]


def replayed(world: BundleWorld, *names: str, withhold: bool = False) -> State:
    bundle, trust = make_bundle(world, *names, withhold=withhold)
    header = parse_header(bundle.headers[0])
    proof = StateProof(bundle, header)
    proof.verify_contracts(bundle, trust)
    proved = proof.read(bundle)
    return replay(bundle, verify_histories(bundle, proved.heads), proved, header.timestamp)


@pytest.mark.parametrize("name", LOTS)
def test_what_the_replay_says_is_what_the_contract_stores(world: BundleWorld, name: str) -> None:
    state = replayed(world, name)
    chain = world.consortium.chain
    for lot in state.lots.values():
        stored = chain.read_struct(Contract.LEDGER, "lotOf", lot.subject)
        assert (lot.state, lot.quantity, lot.unit) == (stored["state"], stored["quantity"], stored["unit"])
        assert (lot.order is None, lot.parent is not None) == (stored["order"] == 0, stored["packed"])
        assert (len(lot.contents), lot.counterparty) == (stored["contents"], stored["counterparty"])
        if lot.parent is None:
            assert lot.custodian == stored["holder"]
        for inspector, standing in lot.standings.items():
            kept = chain.read_struct(Contract.LEDGER, "standingOf", lot.subject, inspector)
            latest = 0 if standing.latest is None else standing.latest.sequence
            behind = 0 if standing.quarantining is None else standing.quarantining.sequence
            assert (latest, standing.open, behind) == (kept["latest"], kept["open"], kept["quarantining"])
        for certificate in lot.certificates:
            issued = chain.read_struct(Contract.LEDGER, "certificateOf", certificate.sequence)
            assert (certificate.state, certificate.issued_at) == (issued["state"], issued["issued_at"])
            assert certificate.opening_deadline == issued["opening_deadline"]
    for order in state.orders.values():
        stored = chain.read_struct(Contract.LEDGER, "orderOf", order.subject)
        assert (order.sequence, order.state) == (stored["sequence"], stored["state"])
        assert order.terms.operations == stored["operations"]
        [word] = chain.read(Contract.LEDGER, "gatesOf", order.subject)
        assert pack(order.terms.gates) == word
        for operation, current in order.current.items():
            assignment = chain.read_struct(Contract.LEDGER, "assignmentOf", order.subject, operation)
            assert (current.sequence, current.state, operation in order.finished) == (
                assignment["sequence"],
                assignment["state"],
                assignment["finished_once"],
            )


@pytest.mark.parametrize("name", LOTS)
def test_a_bundle_about_any_lot_is_verified(world: BundleWorld, name: str) -> None:
    for withhold in (False, True):
        bundle, trust = make_bundle(world, name, withhold=withhold)
        found = verify_bundle(encode_bundle(bundle), trust, now_s=world.now(), any_status=True)
        assert subjects(found, "part") == [world.lots[name]]


def test_a_sealed_record_leaves_only_what_can_be_left_at_most(world: BundleWorld) -> None:
    whole, withheld = replayed(world, "hip-1"), replayed(world, "hip-1", withhold=True)
    billet = world.lots["billet"]
    assert (whole.lots[billet].quantity, withheld.lots[billet].quantity) == (18, 57)
    assert withheld.lots[billet].withheld == 1
    assert withheld.lots[billet].state is LotState.HELD


def test_content_that_is_published_anew_says_the_same(world: BundleWorld) -> None:
    """What forgeries start from is no other bundle than the chain's."""
    bundle, trust = make_bundle(world, "hip-1", "hip-3", withhold=True)
    anew, believed = publish(read_content(bundle, trust))
    one = verify_bundle(encode_bundle(bundle), trust, now_s=world.now() + 1)
    other = verify_bundle(encode_bundle(anew), believed, now_s=world.now() + 1)
    said = [[what for what in report.statements if what.section is not Section.HEAD] for report in (one, other)]
    assert said[0] == said[1]


def test_forgeries_of_another_real_bundle_are_refused_where_they_lie(world: BundleWorld) -> None:
    bundle, trust = make_bundle(world, "hip-2", "hip-1", "rail-blank")
    tally = run_forgeries(read_content(bundle, trust), 15, seed=3)
    assert tally.clean, tally.to_json()


def test_the_benchmark_measures_a_real_bundle() -> None:
    done = CliRunner().invoke(bench, ["bundle", "--leaves", "3", "--rounds", "1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["ancestors"], found["records"]) == (4, 29)
    assert found["bytes"] > 0
    assert found["json_decode_median_ms"] > 0
