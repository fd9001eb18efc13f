"""Forges seals, lists of validators and set changes: the checkpoint of a trust file that lists validators (step 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from millmark.ledger.bundle import Bundle, SealsShown, encode_bundle
from millmark.ledger.checkpoint import Checkpoint
from millmark.ledger.headers import RlpItem, decode_rlp, encode_rlp, parse_header, replace_extra
from millmark.ledger.keys import LocalSigner
from millmark.ledger.seals import MAX_ROUND, SealedHeader, Seals, faulty_of, quorum_of
from millmark.ledger.signatures import ORDER
from millmark.ledger.trust import Cosigner, Cosigners, TrustFile, Validator, Validators
from tests.proofs.forging import DAY_S, MAX_AGE_S, SEAL_FORGERIES, Forged
from tests.support.bundle_content import Content, copy_content, publish
from tests.support.sealing import build_block, of_validators, seal, seal_header, validators

__all__ = ["SealedWorld", "build_sealed"]

_STRANGERS = 1000
"""Number of the first validator that nobody believes."""


@dataclass(frozen=True)
class SealedWorld:
    """A bundle that validators sealed, with their keys, and the trust file that lists them."""

    bundle: Bundle
    trust: TrustFile
    keys: list[LocalSigner]
    """Of the validators that the last header lists, ascending by address."""
    now_s: int

    @property
    def header(self) -> bytes:
        return self.bundle.headers[-1]

    @property
    def shown(self) -> SealsShown:
        assert self.bundle.seals is not None
        return self.bundle.seals

    @property
    def number(self) -> int:
        return parse_header(self.header).number

    def with_seals(self, *seals: bytes, committed: int | None = None) -> Forged:
        """The bundle with other seals."""
        own = self.shown.seals
        changed = Seals(own.round if committed is None else committed, seals)
        return self.with_shown(replace(self.shown, seals=changed))

    def with_shown(self, shown: SealsShown | None) -> Forged:
        return self.forged(replace(self.bundle, seals=shown), self.trust)

    def with_changes(self, *changes: SealedHeader) -> Forged:
        return self.with_shown(replace(self.shown, changes=changes))

    def with_header(self, extra: bytes) -> Forged:
        """The bundle with another `extraData` in its last header."""
        headers = (*self.bundle.headers[:-1], replace_extra(self.header, extra))
        return self.forged(replace(self.bundle, headers=headers), self.trust)

    def with_trust(self, members: Sequence[bytes], cosigners: Cosigners | None = None) -> Forged:
        return self.forged(self.bundle, believing(self.trust, members, cosigners))

    def genuine(self) -> Forged:
        """What is accepted."""
        return self.forged(self.bundle, self.trust)

    def forged(self, bundle: Bundle, trust: TrustFile) -> Forged:
        return Forged(encode_bundle(bundle), trust, self.now_s)


def believing(trust: TrustFile, members: Sequence[bytes], cosigners: Cosigners | None = None) -> TrustFile:
    """The trust file with these validators."""
    listed = tuple(Validator(address) for address in sorted(members))
    return replace(trust, checkpoint=Validators(listed, cosigners))


def build_sealed(content: Content, rng: Random) -> SealedWorld:
    """The content with a header that lists 4 to 10 validators, and a quorum of their seals in a random round."""
    keys = validators(rng.randrange(4, 11), first=rng.randrange(20))
    listed = [one.address for one in keys]
    changed = copy_content(content)
    changed.header = of_validators(content.header, listed)
    changed.later = rng.randrange(3)
    changed.time += rng.randrange(DAY_S)
    bundle, trust = publish(changed)
    committed = rng.choice([0, 0, 1, rng.randrange(MAX_ROUND)])
    sealed = seal_header(bundle.headers[-1], rng.sample(keys, quorum_of(len(keys))), committed)
    return SealedWorld(
        replace(bundle, seals=SealsShown(sealed.seals)), believing(trust, listed), keys, changed.time + 100
    )


def build_changed(content: Content, rng: Random) -> SealedWorld:
    """The same; the trust file lists one validator more, less or another, and the bundle has the set change."""
    world = build_sealed(content, rng)
    listed = [one.address for one in world.keys]
    before = rng.choice([listed[1:], [*listed, rng.randbytes(20)], [*listed[1:], rng.randbytes(20)]])
    change = _change(world, world.keys, rng)
    shown = replace(world.shown, changes=(change,))
    return replace(world, bundle=replace(world.bundle, seals=shown), trust=believing(world.trust, before))


def seal_forgery(function: Callable[[SealedWorld, Random], Forged | None]) -> Callable[..., Forged | None]:
    """Registers a generator that gets a sealed bundle, and lies about its seals."""
    return _register(build_sealed, function)


def change_forgery(function: Callable[[SealedWorld, Random], Forged | None]) -> Callable[..., Forged | None]:
    """The same for a bundle with a set change."""
    return _register(build_changed, function)


def _register(
    build: Callable[[Content, Random], SealedWorld], function: Callable[[SealedWorld, Random], Forged | None]
) -> Callable[..., Forged | None]:
    def forge(content: Content, rng: Random) -> Forged | None:
        return function(build(content, rng), rng)

    forge.__name__ = function.__name__
    SEAL_FORGERIES.append(forge)
    return forge


def _stranger(rng: Random) -> LocalSigner:
    return validators(1, first=_STRANGERS + rng.randrange(1000))[0]


def _change(world: SealedWorld, keys: Sequence[LocalSigner], rng: Random) -> SealedHeader:
    """A set change to these validators, in a block before the sealed one."""
    block = build_block(
        [one.address for one in keys],
        rng.randrange(world.number),
        time_s=world.now_s - 1000 - rng.randrange(DAY_S),
    )
    return seal_header(block, keys, rng.randrange(3))


# Seals


@seal_forgery
def of_another_block(world: SealedWorld, rng: Random) -> Forged:
    """A block with the same validators that the same validators sealed: another time, or another number."""
    listed = [one.address for one in world.keys]
    other = build_block(listed, world.number + rng.randrange(2), time_s=world.now_s - rng.randrange(10**6))
    return world.with_seals(*seal_header(other, world.keys, world.shown.seals.round).seals.seals)


@seal_forgery
def of_the_proof_block(world: SealedWorld, rng: Random) -> Forged | None:
    """Seals of the first header, where there are others up to the checkpoint."""
    if len(world.bundle.headers) == 1:
        return None
    first = rng.choice(world.bundle.headers[:-1])
    return world.with_seals(*seal_header(first, world.keys, world.shown.seals.round).seals.seals)


@seal_forgery
def of_another_round(world: SealedWorld, rng: Random) -> Forged:
    own = world.shown.seals
    wrong = rng.choice([own.round + 1, abs(own.round - 1), rng.randrange(MAX_ROUND), MAX_ROUND + 1, 2**53 - 1])
    return world.with_seals(*own.seals, committed=wrong if wrong != own.round else wrong + 1)


@seal_forgery
def one_validator_twice(world: SealedWorld, rng: Random) -> Forged:
    seals = list(world.shown.seals.seals)
    at = rng.randrange(1, len(seals))
    seals[at] = seals[at - 1]
    return world.with_seals(*seals)


@seal_forgery
def by_an_outsider(world: SealedWorld, rng: Random) -> Forged:
    own = world.shown.seals
    seals = list(own.seals)
    seals[rng.randrange(len(seals))] = seal(world.header, _stranger(rng), own.round)
    return world.with_seals(*seals)


@seal_forgery
def too_few(world: SealedWorld, rng: Random) -> Forged:
    """Down to f + 1 seals, one, or none."""
    seals = world.shown.seals.seals
    return world.with_seals(*sorted(rng.sample(seals, rng.randrange(len(seals))), key=seals.index))


@seal_forgery
def too_many(world: SealedWorld, rng: Random) -> Forged:
    committed = world.shown.seals.round
    count = rng.randrange(quorum_of(len(world.keys)) + 1, len(world.keys) + 1)
    able = sorted(rng.sample(world.keys, count), key=lambda one: one.address)
    return world.with_seals(*(seal(world.header, one, committed) for one in able))


@seal_forgery
def in_another_order(world: SealedWorld, rng: Random) -> Forged | None:
    seals = list(world.shown.seals.seals)
    rng.shuffle(seals)
    return None if tuple(seals) == world.shown.seals.seals else world.with_seals(*seals)


@seal_forgery
def malformed(world: SealedWorld, rng: Random) -> Forged:
    """High s, v as elsewhere, the other parity, or any byte changed."""
    seals = list(world.shown.seals.seals)
    at = rng.randrange(len(seals))
    r, s, v = seals[at][:32], seals[at][32:64], seals[at][64]
    high = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    flipped = bytearray(seals[at])
    flipped[rng.randrange(64)] ^= 1 << rng.randrange(8)
    seals[at] = rng.choice(
        [
            r + high + bytes([1 - v]),
            r + s + bytes([27 + v]),
            r + s + bytes([rng.randrange(2, 256)]),
            r + s + bytes([1 - v]),
            bytes(32) + s + bytes([v]),
            r + bytes(32) + bytes([v]),
            ORDER.to_bytes(32, "big") + s + bytes([v]),
            bytes(flipped),
        ]
    )
    return world.with_seals(*seals)


@seal_forgery
def left_out(world: SealedWorld, rng: Random) -> Forged:
    """No seals at all, whatever else vouches for the block."""
    later = replace(world, now_s=world.now_s + rng.randrange(DAY_S))
    return later.with_shown(None)


# Validators


@seal_forgery
def of_other_validators(world: SealedWorld, rng: Random) -> Forged:
    """The trust file lists others than the header, by one or by all."""
    listed = [one.address for one in world.keys]
    at = rng.randrange(len(listed))
    others = rng.choice(
        [
            [*listed, rng.randbytes(20)],
            [*listed[:at], *listed[at + 1 :]],
            [*listed[:at], rng.randbytes(20), *listed[at + 1 :]],
            [one.address for one in validators(len(listed), first=_STRANGERS + rng.randrange(1000))],
            [rng.randbytes(20) for _ in range(rng.randrange(1, 101))],
        ]
    )
    return world.with_trust(others)


@seal_forgery
def a_set_of_ones_own(world: SealedWorld, rng: Random) -> Forged:
    """The forger's own validators in the header, with their seals, which are all there and in order."""
    own = sorted((_stranger(rng) for _ in range(rng.choice([1, 4]))), key=lambda one: one.address)
    if len({one.address for one in own}) != len(own):
        own = own[:1]
    header = of_validators(world.header, [one.address for one in own])
    headers = (*world.bundle.headers[:-1], header)
    shown = SealsShown(seal_header(header, own).seals)
    return world.forged(replace(world.bundle, headers=headers, seals=shown), world.trust)


@seal_forgery
def another_list(world: SealedWorld, rng: Random) -> Forged:
    """The list in `extraData` reordered, cut, grown, with a vote elsewhere, in another codec or in no list."""
    items = decode_rlp(parse_header(world.header).extra_data, max_depth=2)
    assert not isinstance(items, bytes)
    vanity, listed, vote, committed, none = items
    addresses = [bytes(one) for one in listed if isinstance(one, bytes)]
    mixed = rng.sample(addresses, len(addresses))
    recipient = rng.randbytes(20)
    rest = (vote, committed, none)
    forms: list[RlpItem] = [
        [*items, b""], items[:4],
        [vanity, mixed, *rest], [vanity, addresses[1:], *rest], [vanity, [*addresses, addresses[-1]], *rest],
        [vanity, [], *rest], [recipient, addresses, *rest],
        [vanity, addresses, committed, vote, none], [vanity, vote, addresses, committed, none],
        [vanity, addresses, [recipient, b"\xff"], committed, none],
        [vanity, addresses, [recipient, b"\1"], committed, none], [vanity, addresses, b"", committed, none],
        [vanity, addresses, vote, b"\0", none], [vanity, addresses, vote, bytes(4), none],
        [vanity, addresses, vote, b"\1", none], [vanity, addresses, vote, committed, list(world.shown.seals.seals)],
    ]  # fmt: skip
    extra = encode_rlp(rng.choice(forms))
    if extra == parse_header(world.header).extra_data:
        extra += b"\0"
    return world.with_header(rng.choice([extra, extra, extra, rng.randbytes(32), extra[:-1] + b"\x80\x80"]))


# Set changes


@change_forgery
def change_left_out(world: SealedWorld, rng: Random) -> Forged:
    later = replace(world, now_s=world.now_s + rng.randrange(DAY_S))
    return later.with_changes()


@change_forgery
def not_vouched(world: SealedWorld, rng: Random) -> Forged:
    """Only f of the trust file's validators sealed the change to a set of the forger's, in which they are."""
    old = validators(rng.randrange(4, 11), first=rng.randrange(20))
    few = old[: faulty_of(len(old))]
    own = validators(9, first=_STRANGERS + rng.randrange(1000))
    new = sorted((*few, *own), key=lambda one: one.address)
    header = of_validators(world.header, [one.address for one in new])
    headers = (*world.bundle.headers[:-1], header)
    # Of the quorum, the first are those of the old ones that the forger has.
    sealing = [*few, *own][: quorum_of(len(new))]
    change = seal_header(build_block([one.address for one in new], world.number - 1, time_s=world.now_s), sealing)
    shown = SealsShown(seal_header(header, sealing).seals, (change,))
    trust = believing(world.trust, [one.address for one in old])
    return world.forged(replace(world.bundle, headers=headers, seals=shown), trust)


@change_forgery
def weakly_sealed(world: SealedWorld, rng: Random) -> Forged:
    """The change lacks one of its own quorum, or has a seal of an outsider, or another round."""
    (change,) = world.shown.changes
    seals, committed = change.seals.seals, change.seals.round
    at = rng.randrange(len(seals))
    outsider = seal(change.header, _stranger(rng), committed)
    wrong = rng.choice(
        [
            Seals(committed, (*seals[:at], *seals[at + 1 :])),
            Seals(committed, (*seals[:at], outsider, *seals[at + 1 :])),
            Seals(committed + 1 + rng.randrange(100), seals),
            Seals(committed, seals[::-1]),
        ]
    )
    return world.with_changes(SealedHeader(change.header, wrong))


@change_forgery
def to_another_set(world: SealedWorld, rng: Random) -> Forged:
    """The change leads to another set than the header's, or changes nothing, or comes twice."""
    (change,) = world.shown.changes
    fewer = _change(world, world.keys[1:], rng)
    again = _change(world, world.keys, rng)
    return world.with_changes(
        *rng.choice([(fewer,), (change, fewer), (change, change), (change, again), (fewer, fewer)])
    )


@change_forgery
def after_the_block(world: SealedWorld, rng: Random) -> Forged:
    """The change is from a later block, or from another one of the same number."""
    number = world.number + rng.randrange(50)
    block = build_block([one.address for one in world.keys], number, time_s=world.now_s - rng.randrange(DAY_S))
    return world.with_changes(seal_header(block, world.keys))


@change_forgery
def in_the_other_order(world: SealedWorld, rng: Random) -> Forged | None:
    """Two changes, the later one first."""
    if world.number < 3:
        return None
    listed = world.keys
    times = [world.now_s - rng.randrange(DAY_S) for _ in range(2)]
    first = build_block([one.address for one in listed[1:]], world.number - 1, time_s=times[0])
    second = build_block([one.address for one in listed], world.number - 1 - rng.randrange(2), time_s=times[1])
    return world.with_changes(seal_header(first, listed), seal_header(second, listed))


@change_forgery
def changed_too_long_ago(world: SealedWorld, rng: Random) -> Forged:
    """An old change, without co-signers, or with a checkpoint that others co-signed, or too few."""
    block = build_block(
        [one.address for one in world.keys],
        rng.randrange(world.number),
        time_s=world.now_s - MAX_AGE_S - 1 - rng.randrange(10**8),
    )
    shown = replace(world.shown, changes=(seal_header(block, world.keys),))
    cosigner = _stranger(rng)
    believed = rng.choice([None, Cosigners(1, (Cosigner(1, cosigner.address),))])
    last = parse_header(world.header)
    point = Checkpoint(world.bundle.chain_id, world.bundle.ledger, world.bundle.ledger_id, last.number, last.hash)
    signed = rng.choice([(), (_stranger(rng).sign_digest(point.digest).to_bytes(),)])
    if believed is not None and signed and _signs(cosigner, point) == signed[0]:
        signed = ()
    assert isinstance(world.trust.checkpoint, Validators)
    trust = believing(world.trust, world.trust.checkpoint.addresses, believed)
    return world.forged(replace(world.bundle, seals=shown, signatures=signed), trust)


def _signs(signer: LocalSigner, point: Checkpoint) -> bytes:
    return signer.sign_digest(point.digest).to_bytes()
