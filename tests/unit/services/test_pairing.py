"""Programs of people: a code counts once, in time, and for the program that asked; the token is kept for its owner."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ledger.errors import InputError, NotFoundError
from services.access import SignInError
from services.access.people.pairing import Pairing, challenge_of, digits_of, new_verifier
from services.access.people.roles import PersonRole
from services.access.signin import NONCE_LIFE_S
from services.client.login import LOGIN, Login, forget_login, read_login, write_login
from services.commands.loopback_code import await_code, listen_for_code
from tests.support.recording_site import open_site
from tests.unit.services.test_people import NOW, Office, key


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    for site in open_site(tmp_path):
        yield Office(site)


def pairing_of(office: Office, secret: bytes = b"k" * 32) -> Pairing:
    return Pairing(office.site.store, office.people, lambda: secret)


def test_the_program_becomes_the_person_who_agreed(office: Office) -> None:
    office.hire("Ada", PersonRole.RECORDER, key())
    pairing, verifier = pairing_of(office), new_verifier()
    code = pairing.approve(1, challenge_of(verifier), NOW)
    entered = pairing_of(office).redeem(code, verifier, NOW + 10)
    who = office.who(entered.token, NOW + 10)
    assert (who.person, who.name, entered.person.name) == (1, "Ada", "Ada")
    with pytest.raises(SignInError):
        pairing.redeem(code, verifier, NOW + 11)


def test_a_code_of_another_program_time_gateway_or_person_is_refused(office: Office) -> None:
    office.hire("Boss", PersonRole.ADMINISTRATOR, key(1))
    office.hire("Ada", PersonRole.READER, key(2))
    pairing, verifier = pairing_of(office), new_verifier()
    code = pairing.approve(2, challenge_of(verifier), NOW)
    person, nonce, seal = code.split(".")
    forged = [
        (code, new_verifier(), NOW),
        (code, verifier, NOW + NONCE_LIFE_S),
        (f"1.{nonce}.{seal}", verifier, NOW),
        (f"{person}.{nonce}.{'0' * 64}", verifier, NOW),
        (f"{person}.{'0' * len(nonce)}.{seal}", verifier, NOW),
        (pairing_of(office, b"x" * 32).approve(2, challenge_of(verifier), NOW), verifier, NOW),
        ("", verifier, NOW),
        ("é" * 99, verifier, NOW),
        (f"{'f' * 8}.{nonce}.{seal}", verifier, NOW),
    ]
    for given, secret, now_s in forged:
        with pytest.raises(SignInError):
            pairing.redeem(given, secret, now_s)
    office.people.remove(2, NOW)
    with pytest.raises(SignInError):
        pairing.redeem(code, verifier, NOW)
    with pytest.raises(NotFoundError):
        pairing.approve(2, challenge_of(verifier), NOW)


def test_the_digits_tell_programs_apart() -> None:
    shown = {digits_of(challenge_of(new_verifier())) for _ in range(50)}
    assert len(shown) == 50


def test_the_token_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    login = Login("https://gateway.example", "mms_a_b", "Ada", "2026-01-01T00:00:00Z", None)
    assert read_login(tmp_path) is None
    write_login(tmp_path, login)
    assert stat.S_IMODE((tmp_path / LOGIN).stat().st_mode) == 0o600
    assert read_login(tmp_path) == login
    forget_login(tmp_path)
    forget_login(tmp_path)
    assert read_login(tmp_path) is None


def test_the_browser_brings_the_code_or_a_person_types_it() -> None:
    with listen_for_code() as listening:
        address = f"http://127.0.0.1:{listening.port}/?code=abc"
        with httpx.Client(trust_env=False) as client:
            asked = threading.Thread(target=client.get, args=(address,))
            asked.start()
            assert await_code(listening, 30, None) == "abc"
            asked.join()
    with listen_for_code() as listening, pytest.raises(InputError):
        await_code(listening, 0.01, None)
