"""Bundles that validators sealed: believed by their seals alone, whatever node they are from, and refused otherwise."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from millmark.ledger.bundle import Bundle, SealsShown, digest_of, encode_bundle, parse_bundle
from millmark.ledger.checkpoint import Checkpoint, SignedCheckpoint, verify_believed
from millmark.ledger.errors import BundleError, CheckpointTooOldError, TrustError, WrongCheckpointError
from millmark.ledger.headers import parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.seals import SealedBlock, SealedHeader, quorum_of
from millmark.ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustFile, Validator, Validators, parse_trust
from millmark.ledger.verify import Report, VerificationError, describe, verify_bundle
from millmark.ledger.verify._proofs import _verify_changes_age, verify_distance
from millmark.ledger.verify.report import CheckpointRefused
from tests.proofs.forge_seals import SealedWorld, believing, build_changed, build_sealed
from tests.proofs.forgeries import judge, run_seal_forgeries
from tests.proofs.forging import DAY_S, MAX_AGE_S, SEAL_FORGERIES
from tests.support.bundle_vector import SEALED, vector_bytes, vector_content, vector_now, vector_trust
from tests.support.sealing import build_block, seal_header, validators


@pytest.fixture
def world() -> SealedWorld:
    return build_sealed(vector_content(), Random(7))  # noqa: S311  # to be had again


@pytest.fixture
def changed() -> SealedWorld:
    return build_changed(vector_content(), Random(7))  # noqa: S311  # to be had again


def verified(world: SealedWorld, *, bundle: Bundle | None = None, trust: TrustFile | None = None) -> Report:
    data = encode_bundle(bundle or world.bundle)
    return verify_bundle(data, trust or world.trust, now_s=world.now_s, max_age_s=MAX_AGE_S)


def codes(report: Report) -> set[str]:
    return {one.code for one in report.statements}


def said(report: Report, code: str) -> str:
    return next(str(one) for one in report.statements if one.code == code)


def with_names(trust: TrustFile) -> TrustFile:
    """The trust file, with the company that runs the first validator."""
    assert isinstance(trust.checkpoint, Validators)
    first, *others = trust.checkpoint.members
    members = (replace(first, participant=1), *others)
    return replace(trust, checkpoint=replace(trust.checkpoint, members=members), participants={1: "Alder Forge"})


@pytest.mark.parametrize("seed", range(12))
def test_sealed_bundles_are_accepted_before_they_are_forged(seed: int) -> None:
    for build in (build_sealed, build_changed):
        assert judge(build(vector_content(), Random(seed)).genuine()) is None  # noqa: S311  # to be had again


def test_the_vector_is_believed_by_its_validators_alone() -> None:
    trust = parse_trust(SEALED.read_bytes())
    assert isinstance(trust.checkpoint, Validators)
    assert trust.cosigners is None
    report = verify_bundle(vector_bytes(), trust, now_s=vector_now())
    assert "0x" not in said(report, "checkpoint_sealed").partition("sealed by")[2]
    others = codes(verify_vector()) - codes(report)
    assert others == {"checkpoint_named", "seals"}


def verify_vector() -> Report:
    """The vector with the trust file that names the block."""
    return verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())


def test_forged_seals_are_refused_at_step_3() -> None:
    """The short form of `scripts/prove forgeries`."""
    tally = run_seal_forgeries(vector_content(), 8 * len(SEAL_FORGERIES), seed=17)
    assert tally.clean, tally.to_json()


def test_the_report_says_who_sealed_and_what_is_assumed(world: SealedWorld) -> None:
    report = verified(world, trust=with_names(world.trust))
    sealed = said(report, "checkpoint_sealed")
    count = len(world.keys)
    assert f"{quorum_of(count)} of its {count} validators are enough" in sealed
    assert "0x" in sealed
    assert f"of the {count} validators were ever faulty" in said(report, "validators")
    assert {"independent", "after", "trust"} <= codes(report)
    assert not {"checkpoint_named", "checkpoint_cosigned", "validators_changed", "earlier_validators"} & codes(report)
    assert report.holds_until <= parse_header(world.bundle.headers[0]).timestamp + MAX_AGE_S + 1
    assert any("封印" in line for line in describe(report, "zh"))


def test_a_validators_company_is_named_if_the_trust_file_names_it(world: SealedWorld) -> None:
    first = world.keys[0]
    sealed = seal_header(world.header, world.keys)  # the lowest addresses, the first among them
    bundle = replace(world.bundle, seals=SealsShown(sealed.seals))
    text = said(verified(world, bundle=bundle, trust=with_names(world.trust)), "checkpoint_sealed")
    assert "sealed by Alder Forge, 0x" in text
    assert first.address.hex() not in text


def test_bundles_of_two_nodes_verify_and_have_one_digest(world: SealedWorld) -> None:
    keys, committed = world.keys, world.shown.seals.round
    one, two = (
        replace(world.bundle, seals=SealsShown(seal_header(world.header, some, committed).seals))
        for some in (keys, keys[1:])
    )
    assert encode_bundle(one) != encode_bundle(two)
    assert digest_of(one) == digest_of(two) == digest_of(replace(one, seals=None))
    assert digest_of(replace(one, chain_id=one.chain_id + 1)) != digest_of(one)
    for bundle in (one, two):
        assert parse_bundle(encode_bundle(bundle)) == bundle
        assert "checkpoint_sealed" in codes(verified(world, bundle=bundle))


def test_whoever_needs_no_seals_is_told_so_and_they_must_still_be_in_order(world: SealedWorld) -> None:
    last = parse_header(world.header)
    believed = replace(vector_content().trust, checkpoint=BelievedBlock(last.number, last.hash))
    assert {"seals", "checkpoint_named"} <= codes(verified(world, trust=believed))
    own = world.shown.seals
    torn = replace(world.bundle, seals=SealsShown(replace(own, seals=own.seals[:-1])))
    with pytest.raises(VerificationError, match=r"step 3 .*required validators sealed"):
        verified(world, bundle=torn, trust=believed)


def test_set_changes_lead_from_the_believed_validators_to_the_present_ones(changed: SealedWorld) -> None:
    report = verified(changed)
    (change,) = changed.shown.changes
    assert str(parse_header(change.header).number) in said(report, "validators_changed")
    assert "earlier_validators" in codes(report)
    present = believing(changed.trust, [one.address for one in changed.keys])
    assert not {"validators_changed", "earlier_validators"} & codes(verified(changed, trust=present))


def test_an_old_set_change_needs_a_cosigned_checkpoint(changed: SealedWorld) -> None:
    block = build_block([one.address for one in changed.keys], 1, time_s=changed.now_s - MAX_AGE_S - 3 * DAY_S)
    old = replace(changed.shown, changes=(seal_header(block, changed.keys),))
    last = parse_header(changed.header)
    point = Checkpoint(changed.bundle.chain_id, changed.bundle.ledger, changed.bundle.ledger_id, last.number, last.hash)
    cosigner = LocalSigner.generate()
    signed = replace(changed.bundle, seals=old, signatures=(cosigner.sign_digest(point.digest).to_bytes(),))
    unsigned = replace(signed, signatures=())
    assert isinstance(changed.trust.checkpoint, Validators)
    cosigners = Cosigners(1, (Cosigner(1, cosigner.address),))
    trust = replace(changed.trust, checkpoint=replace(changed.trust.checkpoint, cosigners=cosigners))
    report = verified(changed, bundle=signed, trust=trust)
    assert {"checkpoint_sealed", "checkpoint_cosigned", "validators_changed"} <= codes(report)
    for bundle, believed in ((unsigned, trust), (signed, changed.trust)):
        with pytest.raises(VerificationError, match="validators changed 33 days ago; at most 30 days"):
            verified(changed, bundle=bundle, trust=believed)
    present = believing(changed.trust, [one.address for one in changed.keys])
    assert "signatures" in codes(verified(changed, bundle=signed, trust=present))
    young = verified(changed)
    change = parse_header(changed.shown.changes[0].header)
    assert young.holds_until <= change.timestamp + MAX_AGE_S + 1


def test_seals_of_others_than_the_cosigners_do_not_do(changed: SealedWorld) -> None:
    """Co-signatures that are there are verified, needed or not."""
    stranger = LocalSigner.generate()
    last = parse_header(changed.header)
    point = Checkpoint(changed.bundle.chain_id, changed.bundle.ledger, changed.bundle.ledger_id, last.number, last.hash)
    signed = replace(changed.bundle, signatures=(stranger.sign_digest(point.digest).to_bytes(),))
    assert isinstance(changed.trust.checkpoint, Validators)
    cosigners = Cosigners(1, (Cosigner(1, changed.keys[0].address),))
    trust = replace(changed.trust, checkpoint=replace(changed.trust.checkpoint, cosigners=cosigners))
    with pytest.raises(VerificationError, match="is not a co-signer"):
        verified(changed, bundle=signed, trust=trust)


def test_a_trust_file_of_validators_is_read_back_and_malformed_ones_are_refused(world: SealedWorld) -> None:
    cosigners = Cosigners(1, (Cosigner(1, world.keys[0].address),))
    assert isinstance(world.trust.checkpoint, Validators)
    for checkpoint in (world.trust.checkpoint, replace(world.trust.checkpoint, cosigners=cosigners)):
        trust = with_names(replace(world.trust, checkpoint=checkpoint))
        assert parse_trust(trust.to_bytes()) == trust
        assert trust.cosigners == checkpoint.cosigners
    members = world.trust.checkpoint.members
    many = tuple(Validator(number.to_bytes(20, "big")) for number in range(101))
    for wrong in ((), members[::-1], (members[0], *members), many):
        with pytest.raises(TrustError):
            Validators(wrong)
    text = world.trust.to_bytes()
    for before, after in ((b'"cosigners":null', b'"cosigners":[]'), (b'"participant":null', b'"participant":"1"')):
        assert before in text
        with pytest.raises(TrustError):
            parse_trust(text.replace(before, after, 1))
    with pytest.raises(WrongCheckpointError, match="names no co-signers"):
        verify_believed(world.trust, None)


def test_seals_in_a_file_have_one_text(world: SealedWorld) -> None:
    keys = validators(4)
    change = seal_header(build_block([one.address for one in keys]), keys, 2)
    bundle = replace(world.bundle, seals=replace(world.shown, changes=(change, SealedHeader(b"\1", change.seals))))
    text = encode_bundle(bundle)
    assert parse_bundle(text) == bundle
    at = text.rindex(b',"seals":{"changes":')
    for before, after in (
        (b'"round":2', b'"round":02'),
        (b'"round":2', b'"round":-1'),
        (b'"seals":{', b'"seals":{"more":1,'),
        (b'{"changes":[', b'{"changes":[,'),
        (b'"changes":', b'"change":'),
    ):
        assert text.count(before, at)
        with pytest.raises(BundleError):
            parse_bundle(text[:at] + text[at:].replace(before, after, 1))


@pytest.mark.parametrize(
    ("ages_s", "good"),
    [((), True), ((30 * DAY_S,), True), ((30 * DAY_S + 1,), False), ((31 * DAY_S, DAY_S), False), ((9, 8), True)],
)
def test_the_oldest_set_change_decides_whether_co_signers_are_needed(
    world: SealedWorld, ages_s: tuple[int, ...], good: bool
) -> None:
    header = parse_header(world.header)
    changes = [SealedBlock(replace(header, timestamp=world.now_s - age_s), (), 0, ()) for age_s in ages_s]
    point = Checkpoint(world.bundle.chain_id, world.bundle.ledger, world.bundle.ledger_id, header.number, header.hash)
    given = (changes, world.trust, SignedCheckpoint(point, ()), world.now_s, 30 * DAY_S)
    if good:
        _verify_changes_age(*given)
        return
    with pytest.raises(CheckpointTooOldError, match=rf"changed {ages_s[0] // DAY_S} days ago; at most 30 days"):
        _verify_changes_age(*given)


def test_a_proof_may_be_as_far_behind_as_is_asked_and_no_farther(world: SealedWorld) -> None:
    last = parse_header(world.header)
    headers = (replace(last, number=last.number - 2), last)
    verify_distance(headers, 2)
    with pytest.raises(CheckpointRefused, match="2 blocks before the one that is believed; 1 are allowed"):
        verify_distance(headers, 1)
