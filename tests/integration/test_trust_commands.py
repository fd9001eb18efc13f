"""`millmark checkpoint` and `millmark trust` against a devchain: what is written can be read, and is the chain's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import EmbeddedChain, write_deployment
from millmark.ledger.checkpoint import parse_checkpoint, verify_believed
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Role
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.trust import BelievedBlock, Cosigners, Validator, Validators, parse_trust
from millmark.services.devchain import create_devchain
from tests.support.command_line import Runner
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.loopback import serving
from tests.support.sealing import validators
from tests.support.stores import new_store

pytestmark = pytest.mark.integration


@dataclass
class Site:
    """A home folder that is connected to a ledger with three companies."""

    run: Runner
    world: LedgerWorld
    companies: list[LocalSigner]

    def path(self, name: str) -> Path:
        return self.run.home / name

    def json(self, *arguments: str) -> dict[str, object]:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        found: dict[str, object] = json.loads(out)
        return found

    def signer(self, number: int) -> str:
        path = self.path(f"key-{number}")
        path.touch(mode=0o600)
        path.write_text(self.companies[number - 1].unsafe_secret().hex())
        return f"--signer=file:{path}"

    def signed(self, number: int, checkpoint: str = "block.json") -> str:
        name = f"signed-{number}.json"
        self.json("checkpoint", "sign", str(self.path(checkpoint)), self.signer(number), "-o", str(self.path(name)))
        return str(self.path(name))


@pytest.fixture
def sealing() -> list[LocalSigner]:
    """The validators that seal the chain's blocks."""
    return []


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sealing: list[LocalSigner]
) -> Iterator[Site]:
    world = build_world(EmbeddedChain(validators=sealing)) if sealing else build_world()
    (tmp_path / "outbox").mkdir()
    with new_store(tmp_path / "outbox") as store:
        companies = [world.admit(Outbox(store), Role.MANUFACTURER) for _ in range(3)]
    with serving(create_devchain(world.line.node)) as url:
        (tmp_path / "millmark.toml").write_text(f'chain_url = "{url}"\n')
        write_deployment(tmp_path / "deployment.json", world.chain.deployment)
        yield Site(Runner(tmp_path, monkeypatch, capsys), world, companies)


def test_companies_co_sign_a_block_and_it_is_believed(site: Site) -> None:
    block, trust, whole = (str(site.path(name)) for name in ("block.json", "trust.json", "checkpoint.json"))
    fetched = site.json("checkpoint", "fetch", "-o", block)
    assert fetched["block_number"] == site.world.chain.node.block_number()
    site.json("trust", "-o", trust, "--quorum", "2")
    combined = site.json("checkpoint", "combine", site.signed(1), site.signed(3), "-o", whole, "--trust", trust)
    wanted = {to_checksum(site.companies[place].address) for place in (0, 2)}
    assert set(combined["signers"]) == wanted  # type: ignore[call-overload]  # a list, by the line above
    believed = verify_believed(parse_trust(Path(trust).read_bytes()), parse_checkpoint(Path(whole).read_bytes()))
    assert believed.hash == site.world.chain.node.header(believed.number).hash


def test_a_trust_file_says_what_the_chain_says(site: Site) -> None:
    path = site.path("trust.json")
    site.json("trust", "-o", str(path))
    trust, chain = parse_trust(path.read_bytes()), site.world.chain
    assert trust.chain_id == chain.chain_id
    assert {name: entry.address for name, entry in trust.contracts.items()} == chain.contracts
    for entry in trust.contracts.values():
        assert entry.code_hash == keccak256(chain.node.code(entry.address))
    number = chain.node.block_number()
    assert trust.checkpoint == BelievedBlock(number, chain.node.header(number).hash)


@pytest.mark.parametrize("sealing", [validators(4)])
def test_the_validators_of_a_sealed_chain_are_those_that_its_blocks_list(
    site: Site, sealing: list[LocalSigner]
) -> None:
    path = site.path("trust.json")
    addresses = [to_checksum(one.address) for one in sealing]
    found = site.json("trust", "-o", str(path), "--validators")
    assert (found["sealed by"], found["validators"]) == ("3 of 4", " ".join(addresses))
    members = tuple(Validator(one.address) for one in sealing)
    assert parse_trust(path.read_bytes()).checkpoint == Validators(members)
    given = [f"--validator={addresses[2]}=3", f"--validator={addresses[1].lower()}"]
    site.json("trust", "-o", str(path), *given, "--quorum", "2")
    trust = parse_trust(path.read_bytes())
    assert isinstance(trust.checkpoint, Validators)
    assert trust.checkpoint.members == (Validator(sealing[1].address), Validator(sealing[2].address, 3))
    assert trust.cosigners is not None
    assert trust.cosigners.quorum == 2
    for wrong, why in (
        ([*given, "--validators"], "not both"),
        (["--validators", "--block", "1"], "not both"),
        ([f"--validator={addresses[0]}=9"], "participant 9 does not exist"),
        ([f"--validator={addresses[0]}=Alder"], "is not a validator"),
        (["--validator=0x12"], "is not an address"),
        ([f"--validator={addresses[0]}", f"--validator={addresses[0]}=1"], "strictly ascending"),
    ):
        assert why in site.run.refused("trust", "-o", str(site.path("other.json")), *wrong)[1]


def test_where_nobody_seals_blocks_there_are_no_validators(site: Site) -> None:
    code, err = site.run.refused("trust", "-o", str(site.path("trust.json")), "--validators")
    assert code == 2
    assert "not that of QBFT" in err
    assert "--quorum" in err


def test_names_and_chosen_co_signers_are_in_the_trust_file(site: Site) -> None:
    key = LocalSigner.generate()
    site.run.home.joinpath("owner").touch(mode=0o600)
    site.run.home.joinpath("owner").write_text(site.world.owner.unsafe_secret().hex())
    owner = f"--signer=file:{site.run.home / 'owner'}"
    code, _, err = site.run("participants", "admit", "Alder Forge", to_checksum(key.address), "--roles", "BUYER", owner)
    assert code == 0, err
    site.companies.append(key)
    site.world.chain.node.fund(key.address, 10**18)
    code, _, err = site.run("keys", "accept", "4", site.signer(4))
    assert code == 0, err
    path = site.path("trust.json")
    site.json("trust", "-o", str(path), "--quorum", "2", "--cosigner", "4", "--cosigner", "2")
    trust = parse_trust(path.read_bytes())
    assert trust.participants == {4: "Alder Forge"}
    assert isinstance(trust.checkpoint, Cosigners)
    assert [(entry.participant, entry.address) for entry in trust.checkpoint.keys] == [
        (2, site.companies[1].address),
        (4, key.address),
    ]


def test_an_earlier_block_can_be_chosen(site: Site) -> None:
    path = site.path("block.json")
    site.json("checkpoint", "fetch", "-o", str(path), "--block", "3")
    assert parse_checkpoint(path.read_bytes()).checkpoint.block_hash == site.world.chain.node.header(3).hash
    site.json("trust", "-o", str(path), "--block", "3")
    assert parse_trust(path.read_bytes()).checkpoint == BelievedBlock(3, site.world.chain.node.header(3).hash)


def test_text_says_the_same(site: Site) -> None:
    code, out, _ = site.run("checkpoint", "fetch", "-o", str(site.path("block.json")))
    assert code == 0
    assert "signed by nobody yet" in out
    code, out, _ = site.run("trust", "-o", str(site.path("trust.json")), "--quorum", "1")
    assert code == 0
    assert "quorum        1" in out
    assert "co-signers    3" in out


def test_a_block_that_the_own_node_does_not_have_is_not_signed(site: Site) -> None:
    path, signer = site.path("block.json"), site.signer(1)
    site.json("checkpoint", "fetch", "-o", str(path))
    good = path.read_bytes()
    raw = json.loads(good)
    last = raw["block_number"]
    for wrong, why in (
        (good.replace(raw["block_hash"].encode(), b"0x" + b"ab" * 32), "on this node"),
        (good.replace(str(raw["chain_id"]).encode(), b"1"), "is for chain 1"),
        (good.replace(f'"block_number":{last}'.encode(), f'"block_number":{last + 9}'.encode()), "not final"),
    ):
        assert wrong != good
        path.write_bytes(wrong)
        code, err = site.run.refused("checkpoint", "sign", str(path), signer, "-o", str(site.path("out.json")))
        assert (code, why in err) == (1, True), err
        assert not site.path("out.json").exists()


def test_sets_below_the_quorum_or_with_one_twice_are_refused(site: Site) -> None:
    out = ["-o", str(site.path("checkpoint.json"))]
    site.json("checkpoint", "fetch", "-o", str(site.path("block.json")))
    site.json("trust", "-o", str(site.path("trust.json")), "--quorum", "2")
    first, trust = site.signed(1), ["--trust", str(site.path("trust.json"))]
    assert "1 of the 2 required participants" in site.run.refused("checkpoint", "combine", first, *out, *trust)[1]
    assert "signed twice" in site.run.refused("checkpoint", "combine", first, first, *out)[1]
    site.json("trust", "-o", own := str(site.path("own-block.json")))
    assert "requires no signatures" in site.run.refused("checkpoint", "combine", first, *out, "--trust", own)[1]
    assert not site.path("checkpoint.json").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("trust", "-o", "{home}/t", "--block", "1", "--quorum", "1"), "not both"),
        (("trust", "-o", "{home}/t", "--cosigner", "1"), "--quorum"),
        (
            ("trust", "-o", "{home}/t", "--quorum", "1", "--cosigner", "9"),
            "participant 9 is suspended, has left or does not exist",
        ),
        (("trust", "-o", "{home}/t", "--quorum", "4"), "quorum"),
        (("trust", "-o", "{home}/none/t"), "cannot be written"),
        (("trust", "-o", "{home}"), "cannot be written"),
        (("checkpoint", "combine", "{home}/none", "-o", "{home}/t"), "cannot be read"),
        (("checkpoint", "combine", "{home}/millmark.toml", "-o", "{home}/t"), "checkpoint file"),
    ],
)
def test_other_uses_are_unusable_input(site: Site, arguments: tuple[str, ...], why: str) -> None:
    code, err = site.run.refused(*(part.format(home=site.run.home) for part in arguments))
    assert code == 2
    assert why in err
    assert not [path.name for path in site.run.home.iterdir() if path.name.startswith((".", "t"))]
