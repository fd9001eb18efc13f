"""Keys in a real PKCS#11 token, SoftHSM2, beside keys in keystores: one interface, one behaviour."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from millmark.ledger.errors import SigningError
from millmark.ledger.keys import create_key, create_keystore, open_signer
from millmark.ledger.records import Admit, Role
from millmark.ledger.signatures import ORDER, Signer, parse_address, recover_address, to_checksum
from millmark.ledger.store.outbox import Outbox
from millmark.services.store import open_store
from tests.support import softhsm
from tests.support.command_line import Runner
from tests.support.ledger_world import NOTHING, build_world, verify_final

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(softhsm.describe_missing() is not None, reason=str(softhsm.describe_missing())),
]
PASSPHRASE = "canary-passphrase"


@pytest.fixture(scope="module")
def hsm() -> softhsm.Hsm:
    return softhsm.prepare_hsm()


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path


def new_key(hsm: softhsm.Hsm, label: str) -> str:
    """Makes a key in the token; gives its URI."""
    uri = f"pkcs11:token=plant;object={label}"
    create_key(uri, prompt=lambda _: softhsm.PIN, pkcs11_module=hsm.module)
    return uri


def opened(hsm: softhsm.Hsm, uri: str, pin: str = softhsm.PIN) -> Signer:
    return open_signer(uri, prompt=lambda _: pin, pkcs11_module=hsm.module)


@pytest.fixture
def session(hsm: softhsm.Hsm) -> Iterator[Any]:
    """To put things into the token that Millmark would not."""
    import pkcs11  # noqa: PLC0415 - an optional extra

    token: Any = pkcs11.lib(str(hsm.module)).get_token(token_label="plant")
    try:
        found = token.open(rw=True, user_pin=softhsm.PIN)
    except pkcs11.UserAlreadyLoggedIn:
        found = token.open(rw=True)
    yield found
    found.close()


@pytest.fixture(params=["keystore", "token"])
def signer(request: pytest.FixtureRequest, hsm: softhsm.Hsm, tmp_path: Path) -> Signer:
    if request.param == "keystore":
        create_keystore(tmp_path / "key.json", PASSPHRASE, scrypt_cost=16)
        return open_signer(f"keystore:{tmp_path / 'key.json'}", prompt=lambda _: PASSPHRASE)
    return opened(hsm, new_key(hsm, f"key-{os.urandom(4).hex()}"))


# What every signer does


def test_signatures_are_the_keys_own(signer: Signer) -> None:
    """Of 200 digests; judged by another implementation too."""
    draws = random.Random(1)  # noqa: S311 - digests, not keys
    for _ in range(200):
        digest = draws.randbytes(32)
        signature = signer.sign_digest(digest)
        assert signature.s <= ORDER // 2
        assert recover_address(digest, signature) == signer.address
        assert Account._recover_hash(digest, signature=signature.to_bytes()) == to_checksum(signer.address)


def test_digests_of_another_length_are_refused(signer: Signer) -> None:
    for size in (0, 31, 33, 64):
        with pytest.raises(SigningError, match="32 bytes"):
            signer.sign_digest(bytes(size))


def test_records_get_onto_the_ledger(signer: Signer, tmp_path: Path) -> None:
    world = build_world()
    world.chain.node.fund(signer.address, 10**20)
    with open_store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        outbox = Outbox(store)
        owner = world.submitter(outbox, world.owner)
        owner.submit([("admit", Admit(int(Role.MANUFACTURER), signer.address, NOTHING))])
        owner.drain()
        world.accept(signer)
        submitter = world.submitter(outbox, signer, batch_size=2)  # type: ignore[arg-type]  # any signer will do
        ids = submitter.submit(world.lots(5))
        submitter.drain()
        assert verify_final(outbox, ids) == [1, 2, 3, 4, 5]


# What a token does


def test_a_key_has_one_address_wherever_it_is_opened(hsm: softhsm.Hsm, tmp_path: Path) -> None:
    uri = "pkcs11:object=press%20%237;type=private;token=plant;id=%07%ff"
    address = create_key(uri, prompt=lambda _: softhsm.PIN, pkcs11_module=hsm.module)
    pin = private(tmp_path / "pin", softhsm.PIN)
    assert opened(hsm, uri).address == address
    by_id = open_signer("pkcs11:token=plant;id=%07%FF", passphrase_file=pin, pkcs11_module=hsm.module)
    assert by_id.address == address


def test_the_token_keeps_the_key(hsm: softhsm.Hsm, session: Any) -> None:
    import pkcs11  # noqa: PLC0415 - an optional extra

    new_key(hsm, "kept")
    key = session.get_key(label="kept", object_class=pkcs11.ObjectClass.PRIVATE_KEY)
    assert key[pkcs11.Attribute.EXTRACTABLE] is False
    assert key[pkcs11.Attribute.NEVER_EXTRACTABLE] is True
    assert key[pkcs11.Attribute.LOCAL] is True
    with pytest.raises(pkcs11.AttributeSensitive):
        key[pkcs11.Attribute.VALUE]


def test_a_key_is_never_replaced(hsm: softhsm.Hsm) -> None:
    uri = new_key(hsm, "once")
    address = opened(hsm, uri).address
    with pytest.raises(SigningError, match="exists already; keys are never overwritten"):
        create_key(uri, prompt=lambda _: softhsm.PIN, pkcs11_module=hsm.module)
    assert opened(hsm, uri).address == address


def test_keys_and_tokens_that_are_not_there(hsm: softhsm.Hsm) -> None:
    with pytest.raises(SigningError, match="there is no private key for key 'absent' of token 'plant'; create it with"):
        opened(hsm, "pkcs11:token=plant;object=absent")
    with pytest.raises(SigningError, match="token 'absent' cannot be opened: there is no such token"):
        opened(hsm, "pkcs11:token=absent;object=node")
    with pytest.raises(SigningError, match="token 'twin' cannot be opened: several tokens have that name"):
        opened(hsm, "pkcs11:token=twin;object=node")


def test_a_serial_number_tells_twins_apart(hsm: softhsm.Hsm) -> None:
    import pkcs11  # noqa: PLC0415 - an optional extra

    serials = [token.serial.decode() for token in pkcs11.lib(str(hsm.module)).get_tokens(token_label="twin")]
    uris = [f"pkcs11:token=twin;serial={serial};object=node" for serial in serials]
    made = [create_key(uri, prompt=lambda _: softhsm.PIN, pkcs11_module=hsm.module) for uri in uris]
    assert made[0] != made[1]
    with pytest.raises(
        SigningError, match="cannot be opened: the PIN is wrong; several wrong PINs in a row lock a token"
    ):
        opened(hsm, uris[0], pin="canary-wrong-pin")
    assert [opened(hsm, uri).address for uri in uris] == made
    with pytest.raises(SigningError, match="no such token"):
        opened(hsm, "pkcs11:token=twin;serial=0123;object=node")


def test_keys_of_other_curves_are_refused(hsm: softhsm.Hsm, session: Any) -> None:
    import pkcs11  # noqa: PLC0415 - an optional extra
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415  # only where the token is

    parameters = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    curve = session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True)
    curve.generate_keypair(label="p256", store=True)
    session.generate_keypair(pkcs11.KeyType.RSA, 1024, label="rsa", store=True)
    for label in ("p256", "rsa"):
        with pytest.raises(SigningError, match=f"key '{label}' of token 'plant' is not on the curve secp256k1"):
            opened(hsm, f"pkcs11:token=plant;object={label}")


def test_halves_of_different_keys_are_refused(hsm: softhsm.Hsm, session: Any) -> None:
    import pkcs11  # noqa: PLC0415 - an optional extra

    parameters = {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06052b8104000a")}
    curve = session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True)
    label = pkcs11.Attribute.LABEL
    curve.generate_keypair(store=True, public_template={label: "mixed"}, private_template={label: "rest"})
    curve.generate_keypair(store=True, public_template={label: "remains"}, private_template={label: "mixed"})
    with pytest.raises(SigningError, match="did not sign with the key"):
        opened(hsm, "pkcs11:token=plant;object=mixed")
    with pytest.raises(SigningError, match="there is no public key for key 'rest'"):
        opened(hsm, "pkcs11:token=plant;object=rest")
    curve.generate_keypair(label="mixed", store=True)
    with pytest.raises(SigningError, match="there is more than one private key for key 'mixed'"):
        opened(hsm, "pkcs11:token=plant;object=mixed")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_pin_files_open_to_others_are_refused(hsm: softhsm.Hsm, tmp_path: Path, mode: int) -> None:
    pin = private(tmp_path / "pin", softhsm.PIN)
    pin.chmod(mode)
    for attempt in (open_signer, create_key):
        with pytest.raises(SigningError, match=f"chmod 600 {pin}") as caught:
            attempt("pkcs11:token=plant;object=any", passphrase_file=pin, pkcs11_module=hsm.module)
        assert softhsm.PIN not in str(caught.value)


def test_a_pin_is_needed(hsm: softhsm.Hsm) -> None:
    with pytest.raises(SigningError, match="token 'plant' needs a PIN; name a file of mode 0600 that contains the PIN"):
        open_signer("pkcs11:token=plant;object=any", pkcs11_module=hsm.module)


# The commands


def test_commands_make_and_use_keys_in_a_token(
    hsm: softhsm.Hsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Runner(tmp_path, monkeypatch, capsys)
    pin = f"--passphrase-file={private(tmp_path / 'pin', softhsm.PIN)}"
    uri = "pkcs11:token=plant;object=from-the-command-line"
    code, err = run.refused("keys", "new", uri, pin)
    assert (code, err) == (1, "millmark: the PKCS#11 module is not set; set pkcs11_module to the token's library\n")
    run.settings(f'pkcs11_module = "{hsm.module}"\n')
    code, out, err = run("keys", "new", uri, pin)
    assert (code, err) == (0, "")
    assert parse_address(out.strip())
    assert run("keys", "show", "--signer", uri, pin) == (0, out, "")
    code, err = run.refused("keys", "new", uri, pin)
    assert "exists already; keys are never overwritten" in err
