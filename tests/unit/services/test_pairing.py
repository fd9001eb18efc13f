"""Programs of people: a code counts once, in time, and for the program that asked; the token is kept for its owner."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TextIO

import httpx
import pytest

from millmark.ledger.errors import InputError, NotFoundError, SettingsError
from millmark.services.access import SignInError
from millmark.services.access.people.people import Pairing, challenge_of, digits_of, new_verifier
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import NONCE_LIFE_S
from millmark.services.client.login import LOGIN, Login, forget_login, read_login, write_login
from millmark.services.commands.login import _is_safe, _keep, await_code, listen_for_code
from tests.support.command_line import Runner
from tests.support.company_site import open_site
from tests.support.patience import MAX_S
from tests.unit.services.test_people import NOW, Company, key


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    for site in open_site(tmp_path):
        yield Company(site)


def pairing_of(company: Company, secret: bytes = b"k" * 32) -> Pairing:
    return Pairing(company.site.store, company.people, lambda: secret)


def test_the_program_becomes_the_person_who_agreed(company: Company) -> None:
    company.hire("Ada", PersonRole.RECORDER, key())
    pairing, verifier = pairing_of(company), new_verifier()
    code = pairing.approve(1, challenge_of(verifier), NOW)
    entered = pairing_of(company).redeem(code, verifier, NOW + 10)
    who = company.who(entered.token, NOW + 10)
    assert (who.person, who.name, entered.person.name) == (1, "Ada", "Ada")
    with pytest.raises(SignInError):
        pairing.redeem(code, verifier, NOW + 11)


def test_a_code_of_another_program_time_gateway_or_person_is_refused(company: Company) -> None:
    company.hire("Boss", PersonRole.ADMINISTRATOR, key(1))
    company.hire("Ada", PersonRole.READER, key(2))
    pairing, verifier = pairing_of(company), new_verifier()
    code = pairing.approve(2, challenge_of(verifier), NOW)
    person, nonce, seal = code.split(".")
    forged = [
        (code, new_verifier(), NOW),
        (code, verifier, NOW + NONCE_LIFE_S),
        (f"1.{nonce}.{seal}", verifier, NOW),
        (f"{person}.{nonce}.{'0' * 64}", verifier, NOW),
        (f"{person}.{'0' * len(nonce)}.{seal}", verifier, NOW),
        (pairing_of(company, b"x" * 32).approve(2, challenge_of(verifier), NOW), verifier, NOW),
        ("", verifier, NOW),
        ("é" * 99, verifier, NOW),
        (f"{'f' * 8}.{nonce}.{seal}", verifier, NOW),
    ]
    for given, secret, now_s in forged:
        with pytest.raises(SignInError):
            pairing.redeem(given, secret, now_s)
    company.people.remove(2, NOW)
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


GOOD, OTHER = (f"1.{digit * 40}.{digit * 64}" for digit in "ab")


def redeem(code: str) -> str | None:
    return "Ada" if code == GOOD else None


def bring(port: int, *codes: str) -> threading.Thread:
    """A browser that opens the program's address with one code after the other; `told` has what it was shown."""

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=MAX_S) as client:
            thread.told = [client.get(f"http://127.0.0.1:{port}/", params={"code": one}).text for one in codes]  # type: ignore[attr-defined]

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_the_browser_brings_the_code() -> None:
    with listen_for_code(redeem) as listening:
        asked = bring(listening.port, "abc", OTHER, GOOD)
        assert await_code(listening, MAX_S, None) == "Ada"
        asked.join()
    told: list[str] = asked.told  # type: ignore[attr-defined]
    assert ["Signed in" in one for one in told] == [False, False, True]
    assert listening.tried == 2  # the first does not look like a code
    with listen_for_code(redeem) as listening, pytest.raises(InputError):
        await_code(listening, 0.01, None)


def test_the_gateway_is_not_asked_about_codes_without_end() -> None:
    with listen_for_code(redeem) as listening:
        asked = bring(listening.port, *[OTHER] * 5)
        with pytest.raises(InputError, match="too many"):
            await_code(listening, MAX_S, None)
        asked.join()
        assert not listening.take(GOOD)


def test_a_failure_of_the_gateway_is_told() -> None:
    def fail(_: str) -> str | None:
        raise SettingsError("the gateway cannot be reached")

    with listen_for_code(fail) as listening:
        asked = bring(listening.port, GOOD)
        with pytest.raises(SettingsError):
            await_code(listening, MAX_S, None)
        asked.join()
    assert "Not signed in" in asked.told[0]  # type: ignore[attr-defined]


def test_a_person_types_the_code_and_may_end_the_input() -> None:
    with listen_for_code(redeem) as listening, open_pipe(f"nonsense\n\n{GOOD}\n") as typed:
        assert await_code(listening, MAX_S, typed) == "Ada"
    with listen_for_code(redeem) as listening, open_pipe("") as typed:
        asked = bring(listening.port, GOOD)
        assert await_code(listening, MAX_S, typed) == "Ada"
        asked.join()


@contextmanager
def open_pipe(text: str) -> Iterator[TextIO]:
    """What is typed, and then its end. Read a line at a time, as a terminal is: what a buffer holds, select does not
    see."""
    read, written = os.pipe()
    with os.fdopen(read, encoding="utf-8") as typed:
        with os.fdopen(written, "w", encoding="utf-8") as keys:
            keys.write(text)
        yield typed


@pytest.mark.parametrize(
    ("gateway", "safe"),
    [
        ("https://gateway.example", True),
        ("https://gateway.example:8443", True),
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://evil.example\\@localhost", False),
        ("https://gateway.example@evil.example", False),
        ("https://gateway.example/?next=x", False),
        ("https://", False),
        ("https://[", False),
        ("https://gateway.example:port", False),
        ("ftp://localhost", False),
        ("gateway.example", False),
    ],
)
def test_a_token_goes_to_safe_addresses_alone(gateway: str, safe: bool) -> None:
    assert _is_safe(gateway) is safe


class Gateway(BaseHTTPRequestHandler):
    """Answers what its server's `answer` says."""

    def do_DELETE(self) -> None:
        self.server.tokens.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        self.send_response(self.server.answer)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing for the terminal."""


@pytest.fixture
def gateway() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        server.tokens = []  # type: ignore[attr-defined]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


def login_at(server: HTTPServer, token: str) -> Login:
    return Login(f"http://127.0.0.1:{server.server_port}", token, "Ada", "2026-01-01T00:00:00Z", None)


@pytest.mark.parametrize(("answer", "ended"), [(204, True), (401, True), (404, False), (429, False), (503, False)])
def test_signing_out_forgets_a_token_only_once_it_is_invalid(
    runner: Runner, gateway: HTTPServer, answer: int, ended: bool
) -> None:
    gateway.answer = answer  # type: ignore[attr-defined]
    write_login(runner.home, login_at(gateway, "mms_a_b"))
    code, out, err = runner("logout")
    assert (code == 0, "signed out" in out, read_login(runner.home) is None) == (ended, ended, ended), err
    assert "mms_a_b" not in out + err


def test_a_new_session_ends_the_earlier_one(
    tmp_path: Path, gateway: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answer = 204  # type: ignore[attr-defined]
    for token in ("mms_a_b", "mms_c_d"):
        _keep(tmp_path, login_at(gateway, token))
    gateway.answer = 503  # type: ignore[attr-defined]
    _keep(tmp_path, login_at(gateway, "mms_e_f"))
    assert gateway.tokens == ["Bearer mms_a_b", "Bearer mms_c_d"]  # type: ignore[attr-defined]
    assert "not ended" in capsys.readouterr().err
    (tmp_path / LOGIN).write_text("{")
    _keep(tmp_path, login_at(gateway, "mms_g_h"))
    kept = read_login(tmp_path)
    assert kept is not None
    assert kept.token == "mms_g_h"
