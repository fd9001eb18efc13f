"""`millmark init` and `millmark join`: a home that works, for the operator of a consortium and for its companies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from ledger.chain import Chain, Deployment, HttpTransport, Node, deploy, find_profile, read_deployment, write_deployment
from ledger.errors import ChainUnreachableError, InputError, SettingsError, TrustError, WrongChainError
from ledger.keys import to_checksum
from ledger.records import Role
from ledger.signatures import Signer
from services.commands.context import Context, open_context
from services.commands.joining import complete_joining, try_directory
from services.commands.questions import Question, answers_to, parse_port, read_secret
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
from services.home.requests import MAX_REQUEST_BYTES, parse_request
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
        help="File (mode 0600) with the passphrase of the keys, for the gateway as well; made with a random one if "
        "there is none. Asked for on a terminal if omitted.",
        dir_okay=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command(
        "init",
        epilog="Example: millmark --home operator init --name Nordic --chain-url http://127.0.0.1:8545 --port 8600",
    )(run_init)
    app.command(
        "join",
        epilog="Example: millmark --home alder join consortium.json --name Alder --roles MANUFACTURER --port 8601",
    )(run_join)


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
    answers = answers_to(
        {"name": name, "chain_url": chain_url, "engine": engine, "port": None if port is None else str(port)},
        {
            "name": Question("--name", "Name of the consortium"),
            "chain_url": Question("--chain-url", "JSON-RPC of the chain", "http://127.0.0.1:8545"),
            "engine": Question("--engine", "Kind of the chain", "embedded"),
            "port": Question("--port", "Port of the operator's gateway", "8600"),
        },
        passphrase_file,
    )
    url = gateway_url or f"http://127.0.0.1:{parse_port(answers['port'])}"
    _verify(lambda: verify_name(answers["name"]), lambda: verify_gateway_url(url))
    _verify(lambda: verify_chain_url(answers["chain_url"]))
    profile = find_profile(answers["engine"])
    node = Node(HttpTransport(answers["chain_url"]))
    _verify_reachable(node)  # before anything is made
    layout.create_folder()
    secret = read_secret(layout, passphrase_file)
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
    renew: Annotated[
        bool,
        typer.Option("--renew", help="Write the request again: with --name or --gln, the present key and gateway_url."),
    ] = False,
) -> None:
    """Make the home of a company that joins a consortium; once the operator has admitted it, complete the joining.

    Asks for what is not given as a flag. Can be repeated after a failure, and at any time: what exists is kept.
    """
    layout = Layout(context.obj)
    if not (layout.settings.exists() and layout.request.exists()):
        wanted = _Wanted(name, gln, roles, port, chain_url, gateway_url, passphrase_file)
        _make_company_home(layout, file, wanted)
        return
    if file is not None:
        _verify_same(layout, file)
    with open_context(layout.home) as opened:
        if renew:
            _renew(opened, layout, name, gln)
            return
        number = complete_joining(opened, print_lines)
        try_directory(opened, opened.unlock_company(), print_lines)
    print_lines(f"participant {number} has joined", f"next: millmark --home {layout.home} gateway")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the flags of `join` say of the company."""

    name: str | None
    gln: str | None
    roles: str | None
    port: int | None
    chain_url: str | None
    gateway_url: str | None
    passphrase_file: Path | None

    def completed(self, consortium: Consortium) -> _Company:
        """With what a person is asked. Raises InputError for what could not stand in a directory or settings file."""
        answers = answers_to(
            {
                "name": self.name,
                "gln": self.gln,
                "roles": self.roles,
                "port": None if self.port is None else str(self.port),
            },
            {
                "name": Question("--name", f"Name of your company, which joins {consortium.name}"),
                "gln": Question("--gln", "Its GLN, if it has one", required=False),
                "roles": Question("--roles", f"Its roles, of {', '.join(Role.__members__)}"),
                "port": Question("--port", "Port of its gateway", "8600"),
            },
            self.passphrase_file,
        )
        port, chain_url = parse_port(answers["port"]), self.chain_url or consortium.chain_url
        url, gln = self.gateway_url or f"http://127.0.0.1:{port}", answers["gln"] or None
        _verify(
            lambda: verify_name(answers["name"]), lambda: verify_gateway_url(url), lambda: verify_chain_url(chain_url)
        )
        _verify_gln(gln)
        return _Company(answers["name"], gln, parse_roles(answers["roles"]), port, chain_url, self.gateway_url, url)


@dataclass(frozen=True, slots=True)
class _Company:
    """A company that joins."""

    name: str
    gln: str | None
    roles: Role
    port: int
    chain_url: str
    gateway_url: str | None
    """Set if others reach the gateway elsewhere than where it listens."""
    url: str
    """Where others reach it."""


def _make_company_home(layout: Layout, file: Path | None, wanted: _Wanted) -> None:
    """Keys first, the request last: what exists is kept, and with the request the home is complete."""
    if file is None:
        raise InputError("no consortium to join is named", hint="give the operator's consortium.json")
    consortium = parse_consortium(read_bounded(file, MAX_CONSORTIUM_BYTES))
    company = wanted.completed(consortium)
    _verify_on_chain(consortium, company.chain_url)
    layout.create_folder()
    secret = read_secret(layout, wanted.passphrase_file)
    signer = secret.open_key(layout.key)
    secret.open_key(layout.name_key)
    if not layout.recipient_key.exists():
        create_recipient_key(layout.recipient_key)
    write_deployment(layout.deployment, consortium.deployment)
    text = company_settings(
        company.name,
        company.chain_url,
        consortium.engine,
        company.port,
        company.gateway_url,
        secret.named_in(layout),
        consortium.gateway,
    )
    write_whole(layout.settings, text.encode())
    entry = DirectoryEntry(0, company.name, company.gln, company.url)
    _write_request(layout, layout.recipient_key, consortium.deployment, signer, company.roles, entry)
    print_lines(
        f"the home of {company.name} is in {layout.home}; its key is {to_checksum(signer.address)}",
        f"next: give {layout.request} to the operator of {consortium.name}, who admits the company:",
        f"    millmark --home OPERATOR participants admit {layout.request}",
        "then start the gateway, which completes the joining:",
        f"    millmark --home {layout.home} gateway",
    )


def _renew(opened: Context, layout: Layout, name: str | None, gln: str | None) -> None:
    before = parse_request(read_bounded(layout.request, MAX_REQUEST_BYTES))
    settings = opened.settings
    recipient_key = settings.from_home(settings.recipient_key)
    if recipient_key is None:
        raise SettingsError("no recipient key is named", hint="set recipient_key in millmark.toml")
    entry = replace(before.entry, name=name or before.entry.name, gln=gln or before.entry.gln, gateway=settings.origin)
    _verify(lambda: verify_name(entry.name), lambda: verify_gateway_url(settings.origin))
    _verify_gln(entry.gln)
    deployment = read_deployment(settings.deployment_path)
    _write_request(layout, recipient_key, deployment, opened.unlock_company(), before.roles, entry)
    print_lines(
        f"next: give {layout.request} to the operator, who changes the directory:",
        f"    millmark --home OPERATOR participants admit {layout.request}",
    )


def _write_request(
    layout: Layout, recipient_key: Path, deployment: Deployment, signer: Signer, roles: Role, entry: DirectoryEntry
) -> None:
    public_key = read_recipient_key(recipient_key).public_key().public_bytes_raw()
    statement = sign_statement(deployment.chain_id, deployment.ledger, public_key, int(time.time()), signer)
    listed = replace(entry, recipient_key=statement)
    request = AdmissionRequest(deployment.chain_id, deployment.ledger, signer.address, roles, listed)
    write_whole(layout.request, request.to_bytes())


def _verify_gln(gln: str | None) -> None:
    if gln is not None:
        _verify(lambda: verify_gln(gln))


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


def _verify_reachable(node: Node) -> None:
    try:
        node.chain_id()
    except ChainUnreachableError as error:
        raise ChainUnreachableError(
            error.cause, hint=f"{error.hint}; to try it: `millmark devchain --journal chain.journal`"
        ) from None


def _verify_same(layout: Layout, file: Path) -> None:
    found = parse_consortium(read_bounded(file, MAX_CONSORTIUM_BYTES)).deployment
    if found != read_deployment(layout.deployment):
        raise SettingsError(f"{layout.home} is the home of another ledger", hint="join from an empty folder")
