"""`millmark init` and `millmark join`: a home that works, for the operator of a consortium and for its companies."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ledger.chain import Chain, HttpTransport, Node, deploy, find_profile, read_deployment, write_deployment
from ledger.errors import InputError, SettingsError, SigningError, TrustError, WrongChainError
from ledger.keys import create_keystore, open_signer, read_passphrase, to_checksum, write_private
from ledger.records import Role
from ledger.signatures import Signer
from services.commands.context import ask, open_context
from services.commands.joining import complete_joining, try_directory
from services.directory import DirectoryEntry, fetch_operators, sign_statement
from services.directory.document import verify_gateway_url, verify_gln, verify_name
from services.documents.key_files import create_recipient_key, read_recipient_key
from services.files import read_bounded, write_whole
from services.home import (
    AdmissionRequest,
    Consortium,
    Layout,
    company_settings,
    operator_settings,
    parse_consortium,
)
from services.home.consortium import MAX_CONSORTIUM_BYTES, verify_chain_url
from services.options import parse_roles
from services.output import print_lines

__all__ = ["register"]

Name = Annotated[str | None, typer.Option("--name", help="What others are to call it.")]
ChainUrl = Annotated[str | None, typer.Option("--chain-url", help="JSON-RPC of a chain node that you trust.")]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65_535, help="Port of the gateway.")]
GatewayUrl = Annotated[
    str | None,
    typer.Option("--gateway-url", help="URL under which others reach the gateway; http://127.0.0.1:PORT if omitted."),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File (mode 0600) with the passphrase of the keys, for the gateway as well; made with a random one if it does "
        "not exist. Asked for on a terminal if omitted.",
        dir_okay=False,
    ),
]
_RANDOM_BYTES = 24


def register(app: typer.Typer) -> None:
    app.command(
        "init",
        epilog="Example: millmark --home operator init --name Nordic --chain-url http://127.0.0.1:8545 --port 8600",
    )(run_init)
    app.command(
        "join",
        epilog="Example: millmark --home alder join consortium.json --name Alder --roles MANUFACTURER --port 8601",
    )(run_join)


@dataclass(frozen=True, slots=True)
class _Question:
    """Something that a flag says, or a person is asked."""

    flag: str
    text: str
    default: str = ""
    required: bool = True


def _answers(
    given: Mapping[str, str | None], questions: Mapping[str, _Question], passphrase_file: Path | None
) -> dict[str, str]:
    """What was given as flags and, on a terminal, asked for. Without one, missing flags are one error."""
    missing = [name for name, value in given.items() if value is None]
    if not sys.stdin.isatty():
        lacking = [questions[name].flag for name in missing if questions[name].required and not questions[name].default]
        lacking += ["--passphrase-file"] if passphrase_file is None else []
        if lacking:
            raise InputError(f"{', '.join(lacking)} missing, and there is no terminal to ask on", hint="give the flags")
        asked = {name: questions[name].default for name in missing}
    else:
        asked = {name: _ask(questions[name]) for name in missing}
    return {name: asked.get(name, value) or "" for name, value in given.items()}


def _ask(question: _Question) -> str:
    while True:
        answer = str(typer.prompt(question.text, default=question.default, show_default=bool(question.default))).strip()
        if answer or not question.required:
            return answer


def run_init(
    context: typer.Context,
    name: Name = None,
    chain_url: ChainUrl = None,
    engine: Annotated[str | None, typer.Option("--engine", help="Kind of the chain, see SETTINGS.md.")] = None,
    port: Port = None,
    gateway_url: GatewayUrl = None,
    passphrase_file: SecretFile = None,
) -> None:
    """Make the home of a consortium's operator: key, contracts on the chain, settings, and the file to join with.

    Asks for what is not given as a flag. Can be repeated after a failure: what exists is kept.
    """
    layout = Layout(context.obj)
    if layout.settings.exists() and layout.consortium.exists():
        raise SettingsError(f"{layout.home} is a home already", hint=f"see `millmark --home {layout.home} status`")
    answers = _answers(
        {"name": name, "chain_url": chain_url, "engine": engine, "port": None if port is None else str(port)},
        {
            "name": _Question("--name", "Name of the consortium"),
            "chain_url": _Question("--chain-url", "JSON-RPC of the chain", "http://127.0.0.1:8545"),
            "engine": _Question("--engine", "Kind of the chain", "embedded"),
            "port": _Question("--port", "Port of the operator's gateway", "8600"),
        },
        passphrase_file,
    )
    url = gateway_url or f"http://127.0.0.1:{_port(answers['port'])}"
    _verify(lambda: verify_name(answers["name"]), lambda: verify_gateway_url(url))
    _verify(lambda: verify_chain_url(answers["chain_url"]))
    profile = find_profile(answers["engine"])
    node = Node(HttpTransport(answers["chain_url"]))
    node.chain_id()  # before anything is made: is it there at all
    layout.create_folder()
    secret = _secret(layout, passphrase_file)
    signer = secret.open_key(layout.key)
    if layout.deployment.exists():
        deployment = read_deployment(layout.deployment)
    else:
        if profile.faucet:
            node.fund(signer.address)
        deployment = deploy(node, profile, signer)
        write_deployment(layout.deployment, deployment)
    print_lines(f"ledger {to_checksum(deployment.ledger)} on chain {deployment.chain_id}")
    text = operator_settings(
        answers["name"],
        answers["chain_url"],
        answers["engine"],
        int(answers["port"]),
        gateway_url,
        secret.named_in(layout),
    )
    write_whole(layout.settings, text.encode())
    consortium = Consortium(answers["name"], answers["chain_url"], answers["engine"], deployment, signer.address, url)
    write_whole(layout.consortium, consortium.to_bytes())  # last: with it, the home is complete
    print_lines(
        f"wrote {layout.settings} and {layout.consortium}",
        f"next: give {layout.consortium} to the companies; each joins with it, and returns a request.json:",
        f"    millmark --home FOLDER join {layout.consortium}",
        f"    millmark --home {layout.home} participants admit FOLDER/request.json...",
        f"    millmark --home {layout.home} gateway",
    )


def run_join(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[CONSORTIUM]", dir_okay=False, help="The operator's consortium.json.")
    ] = None,
    name: Name = None,
    gln: Annotated[str | None, typer.Option("--gln", help="Party GLN of the company, 13 digits.")] = None,
    roles: Annotated[
        str | None, typer.Option("--roles", help="Role names separated by commas: " + ", ".join(Role.__members__))
    ] = None,
    port: Port = None,
    chain_url: ChainUrl = None,
    gateway_url: GatewayUrl = None,
    passphrase_file: SecretFile = None,
) -> None:
    """Make the home of a company that joins a consortium; once the operator has admitted it, complete the joining.

    Asks for what is not given as a flag. Can be repeated after a failure, and at any time: what exists is kept.
    """
    layout = Layout(context.obj)
    if not (layout.settings.exists() and layout.request.exists()):
        _make_company_home(layout, file, name, gln, roles, port, chain_url, gateway_url, passphrase_file)
        return
    if file is not None:
        _verify_same(layout, file)
    with open_context(layout.home) as opened:
        number = complete_joining(opened, print_lines)
        try_directory(opened, opened.unlock_company(), print_lines)
    print_lines(f"participant {number} has joined", f"next: millmark --home {layout.home} gateway")


def _make_company_home(
    layout: Layout,
    file: Path | None,
    name: str | None,
    gln: str | None,
    roles: str | None,
    port: int | None,
    chain_url: str | None,
    gateway_url: str | None,
    passphrase_file: Path | None,
) -> None:
    if file is None:
        raise InputError("no consortium to join is named", hint="give the operator's consortium.json")
    consortium = parse_consortium(read_bounded(file, MAX_CONSORTIUM_BYTES))
    answers = _answers(
        {"name": name, "gln": gln, "roles": roles, "port": None if port is None else str(port)},
        {
            "name": _Question("--name", f"Name of your company, which joins {consortium.name}"),
            "gln": _Question("--gln", "Its GLN, if it has one", required=False),
            "roles": _Question("--roles", f"Its roles, of {', '.join(Role.__members__)}"),
            "port": _Question("--port", "Port of its gateway", "8600"),
        },
        passphrase_file,
    )
    mask, url = parse_roles(answers["roles"]), gateway_url or f"http://127.0.0.1:{_port(answers['port'])}"
    _verify(lambda: verify_name(answers["name"]), lambda: verify_gateway_url(url))
    if answers["gln"]:
        _verify(lambda: verify_gln(answers["gln"]))
    _verify(lambda: verify_chain_url(chain_url or consortium.chain_url))
    _verify_on_chain(consortium, chain_url or consortium.chain_url)
    layout.create_folder()
    secret = _secret(layout, passphrase_file)
    signer = secret.open_key(layout.key)
    secret.open_key(layout.name_key)
    public_key = _recipient_key(layout)
    write_deployment(layout.deployment, consortium.deployment)
    text = company_settings(
        answers["name"],
        chain_url or consortium.chain_url,
        consortium.engine,
        int(answers["port"]),
        gateway_url,
        secret.named_in(layout),
        consortium.gateway,
    )
    write_whole(layout.settings, text.encode())
    chain_id, ledger = consortium.deployment.chain_id, consortium.deployment.ledger
    statement = sign_statement(chain_id, ledger, public_key, int(time.time()), signer)
    entry = DirectoryEntry(0, answers["name"], answers["gln"] or None, url, statement)
    request = AdmissionRequest(chain_id, ledger, signer.address, mask, entry)
    write_whole(layout.request, request.to_bytes())  # last: with it, the home is complete
    print_lines(
        f"the home of {answers['name']} is in {layout.home}; its key is {to_checksum(signer.address)}",
        f"next: give {layout.request} to the operator of {consortium.name}, who admits the company:",
        f"    millmark --home OPERATOR participants admit {layout.request}",
        "then start the gateway, which completes the joining:",
        f"    millmark --home {layout.home} gateway",
    )


def _verify(*checks: Callable[[], None]) -> None:
    """Raises InputError for what could not stand in a directory or a settings file."""
    try:
        for check in checks:
            check()
    except TrustError as error:
        raise InputError(error.cause, hint=error.hint) from None


def _verify_on_chain(consortium: Consortium, chain_url: str) -> None:
    """Raises SettingsError or ChainError unless the chain has these contracts, and this owner."""
    chain = Chain(Node(HttpTransport(chain_url)), find_profile(consortium.engine), consortium.deployment)
    chain.verify_served()
    operators = fetch_operators(chain)
    if operators.owner != consortium.owner and not operators.members:
        raise WrongChainError(
            f"the registry's owner is {to_checksum(operators.owner)}, not {to_checksum(consortium.owner)}",
            hint="get the consortium file from the operator again",
        )


def _verify_same(layout: Layout, file: Path) -> None:
    found = parse_consortium(read_bounded(file, MAX_CONSORTIUM_BYTES)).deployment
    if found != read_deployment(layout.deployment):
        raise SettingsError(f"{layout.home} is the home of another ledger", hint="join from an empty folder")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise InputError(f"{text[:20]!a} is not a port", hint="give a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True, slots=True)
class _Secret:
    """The passphrase of all keys of a home."""

    file: Path | None
    """Where it is kept; None if a person types it."""
    text: str

    def named_in(self, layout: Layout) -> str | None:
        """The file as the settings name it: relative to the home if it is inside, so that the home can be moved."""
        if self.file is None:
            return None
        whole, home = self.file.resolve(), layout.home.resolve()
        return str(whole.relative_to(home)) if whole.is_relative_to(home) else str(whole)

    def open_key(self, path: Path) -> Signer:
        """The key in a keystore, which is made if it does not exist. Raises SigningError."""
        if not path.exists():
            create_keystore(path, self.text)
        return open_signer(f"keystore:{path}", prompt=lambda _: self.text)


def _secret(layout: Layout, file: Path | None) -> _Secret:
    """The passphrase in a file, which is made with a random one if it does not exist; or one that a person types, twice
    for new keys."""
    if file is not None:
        if not file.exists():
            write_private(file, secrets.token_urlsafe(_RANDOM_BYTES).encode() + b"\n")
            print_lines(f"made a passphrase in {file}; keep a copy")
        return _Secret(file, read_passphrase(file))
    text = ask("Passphrase of the keys: ")
    if not layout.key.exists() and ask("Repeat the passphrase: ") != text:
        raise SigningError("the two passphrases differ", hint="try again")
    return _Secret(None, text)


def _recipient_key(layout: Layout) -> bytes:
    if not layout.recipient_key.exists():
        create_recipient_key(layout.recipient_key)
    return read_recipient_key(layout.recipient_key).public_key().public_bytes_raw()
