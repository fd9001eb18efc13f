"""What `init` and `join` ask, write and refuse before they reach a chain."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from millmark.ledger.canonical import Json
from millmark.ledger.chain.deploying import Deployment
from millmark.ledger.errors import InputError, SigningError
from millmark.ledger.keys import create_keystore, write_private
from millmark.ledger.records import Role
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import KeyRow, NameKeyRow
from millmark.services.commands import home as home_commands
from millmark.services.commands.home import Question, answers_to, read_secret
from millmark.services.directory import DirectoryEntry, take_directory
from millmark.services.directory.document import Contact
from millmark.services.directory.following import draft_entries, keep_admission, verify_admissible
from millmark.services.home import (
    AdmissionRequest,
    Consortium,
    Layout,
    company_settings,
    find_missing,
    find_missing_files,
    operator_settings,
    parse_consortium,
    parse_request,
    set_setting,
    verify_for_this_ledger,
)
from millmark.services.settings import Settings, read_settings
from tests.support.command_line import Runner
from tests.support.directories import (
    ALDER,
    BASE,
    BIRCH,
    CHAIN,
    ENTRIES,
    LEDGER,
    NEW,
    OPERATORS,
    fill_index,
    publish,
    signed,
    state_key,
)
from tests.support.loopback import closed_url
from tests.support.sign_in import NOW_S, signer_of
from tests.support.stores import new_store

NOWHERE = closed_url()
DEPLOYMENT = Deployment(CHAIN, bytes(20), LEDGER, bytes(32), bytes(20), 1, bytes(32), 2, bytes(32))
CONSORTIUM = Consortium("Nordic", NOWHERE, "embedded", DEPLOYMENT, bytes(20), "http://127.0.0.1:8600")
REQUEST = AdmissionRequest(
    CHAIN,
    LEDGER,
    signer_of(ALDER).address,
    Role.BUYER | Role.CARRIER,
    DirectoryEntry(0, "Alder 铸造", "4012345000009", "https://alder.example", state_key(ALDER)),
)
JOIN = ("--name=Alder", "--roles=BUYER", "--port=8601")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


def test_files_between_operator_and_company_are_read_as_they_were_written() -> None:
    assert parse_consortium(CONSORTIUM.to_bytes()) == CONSORTIUM
    assert parse_request(REQUEST.to_bytes()) == REQUEST
    kept = json.loads((Path(__file__).parents[2] / "vectors" / "kept_documents.json").read_text("utf-8"))
    assert parse_request(kept["request"].encode()) == REQUEST  # written before there were contacts
    reached = replace(REQUEST, entry=replace(REQUEST.entry, contact=Contact("Office", "a@b.example", None, "DE")))
    assert parse_request(reached.to_bytes()) == reached


def _changed(written: bytes, **changes: Json) -> bytes:
    return json.dumps({**json.loads(written), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "consortium file cannot be used"),
        (b"[]", "not an object"),
        (REQUEST.to_bytes(), "exactly the members"),
        (_changed(CONSORTIUM.to_bytes(), version=2), "of version 1"),
        (_changed(CONSORTIUM.to_bytes(), more=1), "exactly the members"),
        (_changed(CONSORTIUM.to_bytes(), deployment={}), "its deployment is malformed"),
        (_changed(CONSORTIUM.to_bytes(), deployment={"chain_id": "x"}), "its deployment is malformed"),
        (_changed(CONSORTIUM.to_bytes(), chain_url="ftp://x"), "not the URL of a chain node"),
        (_changed(CONSORTIUM.to_bytes(), chain_url='http://x"\nbogus = 1'), "not the URL of a chain node"),
        (_changed(CONSORTIUM.to_bytes(), gateway="http://operator.example"), "not the URL of a gateway"),
        (_changed(CONSORTIUM.to_bytes(), engine="motor"), "engine profile 'motor' does not exist"),
        (_changed(CONSORTIUM.to_bytes(), owner="0x00"), "address"),
        (_changed(CONSORTIUM.to_bytes(), name="\x1b"), "visible characters"),
        (b" " * (1 << 17), "cannot be used"),
    ],
)
def test_a_consortium_file_that_does_not_fit_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_consortium(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "request cannot be used"),
        (CONSORTIUM.to_bytes(), "exactly the members"),
        (_changed(REQUEST.to_bytes(), format="x"), "not a millmark-request file"),
        (_changed(REQUEST.to_bytes(), roles=[]), "not a list of at least one"),
        (_changed(REQUEST.to_bytes(), roles=["KING"]), "a role is not one of BUYER"),
        (_changed(REQUEST.to_bytes(), gln="4012345000008"), "not a GLN"),
        (_changed(REQUEST.to_bytes(), gateway="https://alder.example/path"), "not the URL of a gateway"),
        (_changed(REQUEST.to_bytes(), contact={"name": "x"}), "exactly the members"),
        (_changed(REQUEST.to_bytes(), contact=None), "the member contact is null"),
        (_changed(REQUEST.to_bytes(), recipient_key=None), "not signed with its key"),
        (_changed(REQUEST.to_bytes(), chain_id=1), "not signed with its key"),
        (_changed(REQUEST.to_bytes(), ledger=to_checksum(bytes(20))), "not signed with its key"),
        (replace(REQUEST, key=signer_of(2).address).to_bytes(), "not signed with its key"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_request(data)


def test_the_settings_that_are_written_are_those_that_are_read(tmp_path: Path) -> None:
    path = tmp_path / "millmark.toml"
    path.write_text(operator_settings('Nord"ic\\', "http://node:8545", "besu-qbft", 8600, None, "op.pass"))
    found = read_settings(tmp_path)
    assert found == Settings(
        home=tmp_path,
        chain_url="http://node:8545",
        engine="besu-qbft",
        gateway_port=8600,
        operator_signer="keystore:key.json",
        operator_passphrase_file=Path("op.pass"),
    )
    text = company_settings("Alder", "http://node:8545", "embedded", 8601, "https://alder.example", None, "https://op")
    path.write_text(set_setting(text, "gateway_participant", 7))
    found = read_settings(tmp_path)
    assert (found.gateway_participant, found.gateway_url, found.gateway_port) == (7, "https://alder.example", 8601)
    assert (found.gateway_passphrase_file, found.gateway_name_keys) == (None, ("keystore:names.json",))
    assert (found.recipient_key, found.directory_url) == (Path("recipient.json"), "https://op")
    assert found.gateway_drift_notes is False
    assert "gateway_drift_notes" not in text


def test_the_settings_of_an_inspector_name_the_notes_that_it_could_sign(tmp_path: Path) -> None:
    common = "Birch", "http://node:8545", "embedded", 8601, None, None, "https://op"
    text = company_settings(*common, inspects=True)
    assert "# gateway_drift_notes = false\n" in text
    path = tmp_path / "millmark.toml"
    path.write_text(text)
    assert read_settings(tmp_path).gateway_drift_notes is False
    path.write_text(text.replace("# gateway_drift_notes = false", "gateway_drift_notes = true"))
    assert read_settings(tmp_path).gateway_drift_notes is True


def test_a_number_is_set_once_wherever_it_stands() -> None:
    assert set_setting("a = 1\n# b = 0\nc = 2\n", "b", 7) == "a = 1\nb = 7\nc = 2\n"
    assert set_setting("b = 3\nc = 2\n", "b", 7) == "b = 7\nc = 2\n"
    assert set_setting("a = 1", "b", 7) == "a = 1\nb = 7\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("init",), "--name, --passphrase-file missing, and there is no terminal to ask on; give the flags"),
        (("init", "--name=Nordic"), "--passphrase-file missing"),
        (("join", "{file}"), "--name, --roles, --passphrase-file missing"),
        (("join",), "no consortium to join is named; give the operator's consortium.json"),
        (("join", "{file}.none", *JOIN, "--passphrase-file=p"), "cannot be read"),
        (("join", "{file}", "--name=A", "--roles=KING", "--port=1", "--passphrase-file=p"), "unknown role 'KING'"),
        (("join", "{file}", *JOIN, "--gln=4012345000008", "--passphrase-file=p"), "is not a GLN of 13 digits"),
        (
            ("join", "{file}", *JOIN, "--gateway-url=http://far.example", "--passphrase-file=p"),
            "not the URL of a gateway",
        ),
        (("join", "{file}", "--name=A\u202e", "--roles=BUYER", "--passphrase-file=p"), "visible characters"),
        (("join", "{file}", *JOIN, "--passphrase-file=p"), "does not answer"),
        (("init", "--name=N", f"--chain-url={NOWHERE}", "--passphrase-file=p"), "does not answer"),
        (("init", "--name=N", "--engine=motor", "--passphrase-file=p"), "engine profile 'motor' does not exist"),
        (("init", "--name=N", "--chain-url=node", "--passphrase-file=p"), "not the URL of a chain node"),
        (("participants", "admit", "{file}"), "the request cannot be used"),
        (("participants", "admit", "{file}", "--roles=BUYER"), "a request states its own roles and GLN"),
        (("participants", "admit", "Alder", "0x" + "11" * 20), "no roles are given"),
        (("directory", "show"), "there is no directory here yet; run `millmark directory import`"),
        (("directory", "publish"), "no key of the operator is named; give --signer, or set operator_signer"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line_and_nothing_is_made(
    run: Runner, arguments: tuple[str, ...], named: str
) -> None:
    file = run.home / "from-the-operator.json"
    file.write_bytes(CONSORTIUM.to_bytes())
    before = set(run.home.iterdir())
    code, err = run.refused(*(one.format(file=file) for one in arguments))
    assert code in (1, 2)
    assert named in err
    left = {path.name for path in set(run.home.iterdir()) - before}
    assert not any(name.endswith((".json", ".toml", "p")) for name in left)


@pytest.mark.parametrize("arguments", [("init", "--name=N"), ("join", "{file}", *JOIN)])
def test_the_home_of_somebody_else_is_left_alone(run: Runner, arguments: tuple[str, ...]) -> None:
    run.settings('chain_url = "http://127.0.0.1:9"\n')
    file = run.home / "from-the-operator.json"
    file.write_bytes(CONSORTIUM.to_bytes())
    _, err = run.refused(*(one.format(file=file) for one in arguments), "--passphrase-file=p")
    assert f"{run.home} is a home" in err
    assert Layout(run.home).settings.read_text() == 'chain_url = "http://127.0.0.1:9"\n'


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A terminal at which a person types the given answers; returns what was asked."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    def typing(*answers: str) -> list[str]:
        left, asked = list(answers), list[str]()

        def prompt(text: str, default: str = "", **_: object) -> str:
            asked.append(text)
            return left.pop(0) or default

        monkeypatch.setattr(typer, "prompt", prompt)
        monkeypatch.setattr(home_commands, "ask", prompt)
        return asked

    return typing


def test_a_person_is_asked_for_what_no_flag_says(terminal: Callable[..., list[str]]) -> None:
    asked = terminal("", "Alder", "", "")
    wanted = {
        "name": Question("--name", "Name"),
        "gln": Question("--gln", "GLN", required=False),
        "port": Question("--port", "Port", "8600"),
        "roles": Question("--roles", "Roles"),
    }
    given = {"name": None, "gln": None, "port": None, "roles": "BUYER"}
    assert answers_to(given, wanted, None) == {"name": "Alder", "gln": "", "port": "8600", "roles": "BUYER"}
    assert asked == ["Name", "Name", "GLN", "Port"]  # a required answer is asked for again


def test_a_passphrase_is_typed_twice_for_new_keys_and_once_for_those_that_exist(
    tmp_path: Path, terminal: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    monkeypatch.setattr(home_commands, "create_keystore", functools.partial(create_keystore, scrypt_cost=2))
    terminal("one", "other")
    with pytest.raises(SigningError, match="the two passphrases differ"):
        read_secret(layout, None)
    asked = terminal("one", "one")
    secret = read_secret(layout, None)
    assert secret.named_in(layout) is None
    address = secret.open_key(layout.key).address
    assert len(asked) == 2
    asked = terminal("one")
    assert read_secret(layout, None).open_key(layout.key).address == address
    assert len(asked) == 1


def test_a_passphrase_file_is_made_for_its_owner_alone_and_named_relative_to_the_home(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.create_folder()
    for file, named in ((tmp_path / "out.pass", str(tmp_path / "out.pass")), (tmp_path / "home" / "p", "p")):
        made = read_secret(layout, file)
        assert (file.stat().st_mode & 0o777, len(made.text)) == (0o600, 32)
        assert made.named_in(layout) == named
        assert read_secret(layout, file) == made
    file.chmod(0o640)
    with pytest.raises(SigningError, match="open to other users"):
        read_secret(layout, file)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as made:
        fill_index(made)
        yield made


def test_requests_that_the_operator_must_not_take_are_refused(store: Store) -> None:
    verify_for_this_ledger(store, [REQUEST])
    with pytest.raises(InputError, match="two requests are for one key"):
        verify_for_this_ledger(store, [REQUEST, replace(REQUEST, roles=Role.BUYER)])
    with pytest.raises(InputError, match="is for chain 1 and ledger 0x"):
        verify_for_this_ledger(store, [replace(REQUEST, chain_id=1)])
    with store.transaction() as connection:
        Rows(connection).put(KeyRow(REQUEST.key, ALDER, 63, True, NOW_S, NOW_S + 1, 0, 0))
    with pytest.raises(InputError, match="is signed with a revoked key; have the company write it again"):
        verify_for_this_ledger(store, [REQUEST])


def test_two_companies_of_one_name_are_refused_before_anything_is_recorded(store: Store) -> None:
    with store.transaction() as connection:
        Book(connection).set_names({BIRCH: "Birch"})
        keep_admission(connection, signer_of(ALDER).address, replace(ENTRIES[0], participant=ALDER))
        for entry in (
            DirectoryEntry(0, "birch"),
            DirectoryEntry(0, "ALDER FORGE"),
            DirectoryEntry(0, "X", ENTRIES[0].gln),
        ):
            with pytest.raises(InputError, match="twice"):
                verify_admissible(connection, {signer_of(NEW).address: entry})
        # The same company may say it again, also with another key.
        verify_admissible(connection, {signer_of(7).address: replace(ENTRIES[0], participant=ALDER)})


def test_an_earlier_statement_of_a_recipient_key_never_replaces_a_later_one(store: Store) -> None:
    earlier = replace(ENTRIES[0], name="Alder AG", recipient_key=replace(state_key(ALDER), issued_at=1))
    with store.transaction() as connection:
        for key, entry in ((ALDER, ENTRIES[0]), (ALDER, earlier), (7, replace(earlier, recipient_key=None))):
            keep_admission(connection, signer_of(key).address, entry)
            [kept] = draft_entries(connection)
            assert (kept.name, kept.recipient_key) == (entry.name, state_key(ALDER))


# What the status says is missing


def missing(store: Store, settings: Settings) -> list[str]:
    with store.reading() as connection:
        return [f"{one.what}; {one.hint}" for one in find_missing(connection, settings)]


def company(tmp_path: Path, participant: int, number: int | None = None) -> Settings:
    key = tmp_path / f"{participant}.key"
    if not key.exists():
        write_private(key, signer_of(participant).unsafe_secret().hex().encode())
    return Settings(
        home=tmp_path,
        gateway_signer=f"file:{key}",
        gateway_name_keys=("file:names",),
        gateway_participant=number,
        directory_url="https://op.example",
    )


def test_a_company_is_told_each_step_that_is_missing(store: Store, tmp_path: Path) -> None:
    [told] = missing(store, company(tmp_path, 8))
    assert told.startswith(f"the operator has not admitted the key {to_checksum(signer_of(8).address)}; give ")
    settings = company(tmp_path, ALDER)
    run_it = f"; run `millmark --home {tmp_path} gateway`, or `join`"
    assert missing(store, settings) == [
        f"the name key is not registered, so nothing can be named{run_it}",
        f"the settings lack gateway_participant = 1{run_it}",
        "the operator has published no directory, so companies are numbers; ask the operator, who runs "
        "`millmark directory publish`",
    ]
    with store.transaction() as connection:
        Rows(connection).put(NameKeyRow(ALDER, 0, bytes(32), NOW_S))
    settings = company(tmp_path, ALDER, ALDER)
    publish(store, signed())
    fetch = f"; run `millmark --home {tmp_path} directory import`; the gateway does it, too"
    assert missing(store, settings) == [f"the directory is not here yet, so companies are numbers{fetch}"]
    with store.transaction() as connection:
        take_directory(connection, signed(), OPERATORS)
    assert missing(store, settings) == []
    publish(store, signed(replace(BASE, issued_at=NOW_S + 1)))
    assert missing(store, settings) == [f"the operator has published a later directory{fetch}"]


def test_a_company_whose_signing_key_was_replaced_is_told_to_state_its_recipient_key_again(
    store: Store, tmp_path: Path
) -> None:
    publish(store, signed())
    with store.transaction() as connection:
        take_directory(connection, signed(), OPERATORS)
        rows = Rows(connection)
        rows.put(NameKeyRow(ALDER, 0, bytes(32), NOW_S))
        rows.put(KeyRow(signer_of(ALDER).address, ALDER, 63, True, NOW_S, NOW_S + 1, 0, 0))
        rows.put(KeyRow(signer_of(7).address, ALDER, 63, True, NOW_S, 0, 0, 0))
    [told] = missing(store, company(tmp_path, 7, ALDER))
    assert told.startswith("the recipient key in the directory is signed by a key that is not active any more; run ")
    [told] = missing(store, company(tmp_path, ALDER, ALDER))
    assert told.startswith("participant 1 may not act with its key")


def test_files_that_are_gone_or_open_to_others_are_named(tmp_path: Path) -> None:
    settings = company(tmp_path, ALDER).model_copy(update={"gateway_passphrase_file": Path("gone")})
    Layout(tmp_path).settings.touch()
    (tmp_path / "names").touch(mode=0o640)
    (tmp_path / "names").chmod(0o640)
    told = [f"{one.what}; {one.hint}" for one in find_missing_files(settings)]
    assert told == [
        f"{tmp_path / 'gone'} does not exist, which gateway_passphrase_file names; restore it from a backup, or "
        "correct the setting",
        f"{tmp_path / 'names'} is open to other users; chmod 600 {tmp_path / 'names'}",
    ]
