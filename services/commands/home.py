"""`millmark init`, `join` and `tls`: a home that works, for the operator of a consortium and for its companies."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from millmark.ledger import errors
from millmark.ledger.chain import (
    Chain,
    Deployment,
    EngineProfile,
    HttpTransport,
    Node,
    deploy,
    find_profile,
    read_deployment,
    write_deployment,
)
from millmark.ledger.keys import LocalSigner, create_keystore, open_signer, read_passphrase, write_private
from millmark.ledger.records import Role
from millmark.ledger.signatures import Signer, to_checksum
from millmark.services.commands.context import Context, ask, open_context
from millmark.services.commands.joining import complete_joining, try_directory
from millmark.services.commands.keys import endow_operator, tell_fees
from millmark.services.directory import DirectoryEntry, fetch_operators, sign_statement
from millmark.services.directory.document import Contact, parse_contact, verify_gateway_url, verify_gln, verify_name
from millmark.services.documents.encryption import create_recipient_key, read_recipient_key
from millmark.services.files import read_bounded, write_whole
from millmark.services.home import (
    AdmissionRequest,
    Consortium,
    Layout,
    company_settings,
    operator_settings,
    parse_consortium,
    set_tls,
)
from millmark.services.home.authority import certify, read_authority_name, show_certificate, verify_hostname
from millmark.services.home.joining_files import (
    MAX_CONSORTIUM_BYTES,
    MAX_REQUEST_BYTES,
    parse_request,
    verify_chain_url,
)
from millmark.services.output import parse_roles, print_lines
from millmark.services.settings import Settings, build_origin, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence


# What `millmark init` and `millmark join` ask a person, unless flags say it: on a terminal only.

_RANDOM_BYTES = 24


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a flag says, or a person is asked."""

    flag: str
    text: str
    default: str = ""
    required: bool = True


def answers_to(
    given: Mapping[str, str | None], questions: Mapping[str, Question], passphrase_file: Path | None
) -> dict[str, str]:
    """What was given as flags and, on a terminal, asked for. Without one, missing flags are one error."""
    missing = [name for name, value in given.items() if value is None]
    if not sys.stdin.isatty():
        lacking = [questions[name].flag for name in missing if questions[name].required and not questions[name].default]
        lacking += ["--passphrase-file"] if passphrase_file is None else []
        if lacking:
            raise errors.InputError(
                f"{', '.join(lacking)} missing, and there is no terminal to ask on", hint="give the flags"
            )
        asked = {name: questions[name].default for name in missing}
    else:
        asked = {name: _ask(questions[name]) for name in missing}
    return {name: asked.get(name, value) or "" for name, value in given.items()}


def _ask(question: Question) -> str:
    while True:
        answer = str(typer.prompt(question.text, default=question.default, show_default=bool(question.default))).strip()
        if answer or not question.required:
            return answer


@dataclass(frozen=True, slots=True)
class Secret:
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
            signer = LocalSigner.generate()
            create_keystore(path, self.text, signer=signer)
            return signer  # opening it again would take another second
        return open_signer(f"keystore:{path}", prompt=lambda _: self.text)


def read_secret(layout: Layout, file: Path | None) -> Secret:
    """The passphrase in a file, which is made with a random one if it does not exist; or one that a person types, twice
    for new keys."""
    if file is not None:
        if not file.exists():
            write_private(file, secrets.token_urlsafe(_RANDOM_BYTES).encode() + b"\n")
            print_lines(f"made a passphrase in {file}; keep a copy")
        return Secret(file, read_passphrase(file))
    text = ask("Passphrase of the keys: ")
    if not layout.key.exists() and ask("Repeat the passphrase: ") != text:
        raise errors.SigningError("the two passphrases differ", hint="try again")
    return Secret(None, text)


def parse_place(text: str, name: str | None) -> tuple[str | None, int]:
    """Host name and port of a gateway: from PORT or NAME:PORT, and from a flag that names the host. Raises InputError.

    One question asks for both, and who gives only a port is asked for no name.
    """
    host, _, port = text.rpartition(":")
    if name and host and host != name:
        raise errors.InputError(f"the gateway cannot be both {name} and {host[:80]!a}", hint="give one name")
    found = name or host or None
    if found is not None:
        verify_hostname(found)
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise errors.InputError(f"{port[:20]!a} is not a port", hint="give a number from 1 to 65535")
    return found, int(port)


OR_NAME = ", or NAME:PORT to be reached by name over TLS"
"""What the question for a port adds, so that a name costs no question of its own."""

_MAX_SETTINGS_BYTES = 1 << 20


def register(app: typer.Typer) -> None:
    tls = typer.Typer(no_args_is_help=True, help="Make the certificate of this home's gateway, and renew it.")
    tls.command("new", epilog="Example: millmark --home alder tls new ledger.alder.example")(run_new_tls)
    tls.command("renew", epilog="Example: millmark --home alder tls renew")(run_renew)
    app.add_typer(tls, name="tls")
    app.command(
        "init",
        epilog="Example: millmark --home operator init --name Nordic --chain-url http://127.0.0.1:8545 --port 8600",
    )(run_init)
    app.command(
        "join",
        epilog="Example: millmark --home alder join consortium.json --name Alder --roles MANUFACTURER --port 8601",
    )(run_join)


def run_new_tls(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Host name under which devices reach the gateway: ledger.alder.example.")],
) -> None:
    """Make an authority for this one name and a certificate for the gateway, and set what the gateway needs.

    Passkeys need it where no authority is that all devices trust: home/TLS.md. Keeps an authority that is there.
    """
    settings, layout = read_settings(context.obj), Layout(context.obj)
    _verify_free(settings, layout)
    place = Place(name, settings.gateway_port, _kept_url(settings, name) or _url_of(name, settings.gateway_port))
    told = place.write_settings(layout, _read_text(layout))
    moved, url = _tell_consortium(layout, place.url), place.url
    if layout.request.exists() and url != settings.origin:
        moved = ["the directory names another address: `millmark join --renew`, and give the operator request.json"]
    print_lines(*told, *moved, f"next: millmark --home {layout.home} gateway")


def run_renew(context: typer.Context) -> None:
    """Issue the gateway's certificate again, for another 397 days, by the home's own authority and for the same key.

    Devices that trust the authority notice nothing. The gateway has to be started again.
    """
    settings, layout = read_settings(context.obj), Layout(context.obj)
    if not layout.authority.exists():
        raise errors.SettingsError(
            f"{layout.home} has no authority of its own",
            hint="have the authority that issued the certificate renew it, or make one: `millmark tls new NAME`",
        )
    _verify_free(settings, layout)
    name = read_authority_name(layout)
    certify(layout, name, datetime.now(UTC))
    ends = show_certificate(layout.tls_certificate).ends
    print_lines(f"{layout.tls_certificate} is valid until {ends:%Y-%m-%d}; start the gateway again to use it")


@dataclass(frozen=True, slots=True)
class Place:
    """Where others reach a gateway."""

    name: str | None
    """If it is reached over TLS with a certificate of the home's own authority."""
    port: int
    url: str

    def write_settings(self, layout: Layout, text: str) -> list[str]:
        """Writes the settings file, after the certificate that it names. Returns what the user has to do with the
        certificate."""
        if self.name is None:
            write_whole(layout.settings, text.encode())
            return []

        fingerprint = certify(layout, self.name, datetime.now(UTC))
        write_whole(layout.settings, set_tls(text, layout, self.url).encode())
        return [
            f"the gateway's address is {self.url}: let your network's DNS name this machine so",
            f"give {layout.authority} to the devices that are to trust it, and to partners for partner_ca: home/TLS.md",
            f"its SHA-256 is {fingerprint}",
        ]


def choose_place(port: str, hostname: str | None, gateway_url: str | None) -> Place:
    """From what was answered when asked for the port, and flags. Raises InputError for what does not fit together."""
    name, number = parse_place(port, hostname)
    if name is None:
        return Place(None, number, gateway_url or build_origin("localhost", number, tls=False))
    if gateway_url is not None:
        raise errors.InputError(
            f"the gateway's address is both {name} and {gateway_url[:80]!a}",
            hint="give a host name to have a certificate made, or the URL of a gateway that has one",
        )
    return Place(name, number, _url_of(name, number))


def _url_of(name: str, port: int) -> str:
    return f"https://{name}" if port == 443 else f"https://{name}:{port}"


def _verify_free(settings: Settings, layout: Layout) -> None:
    """Raises SettingsError if the folder is no home, or its gateway has a certificate from elsewhere."""
    if not layout.settings.exists():
        raise errors.SettingsError(
            f"{layout.home} is not a home yet", hint="make one with `millmark init` or `millmark join`"
        )
    for name, own in (("gateway_tls_certificate", layout.tls_certificate), ("gateway_tls_key", layout.tls_key)):
        path = settings.from_home(getattr(settings, name))
        if path is not None and path.resolve() != own.resolve():
            raise errors.SettingsError(
                f"{name} is {path}, which this command did not make",
                hint=f"keep it, or remove {name} from the settings",
            )


def _kept_url(settings: Settings, name: str) -> str | None:
    """The address that the settings give already, if it is one of this name: its port may be another one's."""
    url = settings.gateway_url
    return url if url and url.startswith("https:") and urlsplit(url).hostname == name else None


def _read_text(layout: Layout) -> str:
    data = read_bounded(layout.settings, _MAX_SETTINGS_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise errors.InputError(f"{layout.settings} is not UTF-8", hint="correct the file") from None


def _tell_consortium(layout: Layout, url: str) -> Sequence[str]:
    """Writes an operator's new address into the file with which companies join."""
    if not layout.consortium.exists():
        return ()
    known = parse_consortium(read_bounded(layout.consortium, MAX_CONSORTIUM_BYTES))
    if known.gateway == url:
        return ()
    write_whole(layout.consortium, replace(known, gateway=url).to_bytes())
    return (f"wrote the address to {layout.consortium}; companies that have joined set directory_url to it",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The facts about the company that the flags of `join` give."""

    name: str | None
    gln: str | None
    contact: str | None
    """As `parse_contact` reads it."""
    roles: str | None
    port: int | None
    hostname: str | None
    """Name under which others reach the gateway over TLS."""
    chain_url: str | None
    gateway_url: str | None
    passphrase_file: Path | None

    def completed(self, consortium: Consortium) -> _Company:
        """With what a person is asked. Raises InputError for what could not stand in a directory or settings file."""
        answers = answers_to(
            {
                "name": self.name,
                "gln": self.gln,
                "contact": self.contact,
                "roles": self.roles,
                "port": None if self.port is None else str(self.port),
            },
            {
                "name": Question("--name", f"Name of your company, which joins {consortium.name}"),
                "gln": Question("--gln", "Its GLN, if it has one", required=False),
                "contact": Question(
                    "--contact",
                    "Business contact, shown on its pages to everybody: name, mail or telephone, country",
                    required=False,
                ),
                "roles": Question("--roles", f"Its roles, of {', '.join(Role.__members__)}"),
                "port": Question("--port", f"Port of its gateway{OR_NAME}", "8600"),
            },
            self.passphrase_file,
        )
        place, chain_url = choose_place(answers["port"], self.hostname, self.gateway_url), self.chain_url
        chain, gln = chain_url or consortium.chain_url, answers["gln"] or None
        verify_listed(
            lambda: verify_name(answers["name"]), lambda: verify_gateway_url(place.url), lambda: verify_chain_url(chain)
        )
        _verify_gln(gln)
        contact = parse_contact(answers["contact"]) if answers["contact"] else None
        roles = parse_roles(answers["roles"])
        return _Company(answers["name"], gln, contact, roles, place, chain, self.gateway_url)


@dataclass(frozen=True, slots=True)
class _Company:
    """A company that joins."""

    name: str
    gln: str | None
    contact: Contact | None
    roles: Role
    place: Place
    """Where others reach the gateway."""
    chain_url: str
    gateway_url: str | None
    """Set if others reach the gateway elsewhere than where it listens."""


def make_company_home(layout: Layout, file: Path | None, wanted: Wanted) -> None:
    """Keys first, the request last: what exists is kept, and with the request the home is complete."""
    if file is None:
        raise errors.InputError("no consortium to join is named", hint="give the operator's consortium.json")
    if layout.settings.exists() and read_settings(layout.home).directory_url is None:
        raise errors.SettingsError(
            f"{layout.home} is a home that `millmark join` did not make", hint="join from an empty folder"
        )
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
        company.place.port,
        company.gateway_url,
        secret.named_in(layout),
        consortium.gateway,
        inspects=Role.INSPECTOR in company.roles,
    )
    told = company.place.write_settings(layout, text)
    entry = DirectoryEntry(0, company.name, company.gln, company.place.url, contact=company.contact)
    _write_request(layout, layout.recipient_key, consortium.deployment, signer, company.roles, entry)
    print_lines(
        *told,
        f"the home of {company.name} is in {layout.home}; its key is {to_checksum(signer.address)}",
        *tell_fees(Node(HttpTransport(company.chain_url)), find_profile(consortium.engine), [signer.address]),
        f"next: give {layout.request} to the operator of {consortium.name}, who admits the company:",
        f"    millmark --home OPERATOR participants admit {layout.request}",
        "then start the gateway, which completes the joining:",
        f"    millmark --home {layout.home} gateway",
    )


def renew_request(
    opened: Context, layout: Layout, name: str | None, gln: str | None, contact: str | None = None
) -> None:
    before = parse_request(read_bounded(layout.request, MAX_REQUEST_BYTES))
    settings = opened.settings
    recipient_key = settings.from_home(settings.recipient_key)
    if recipient_key is None:
        raise errors.SettingsError("no recipient key is named", hint="set recipient_key in millmark.toml")
    listed = before.entry
    entry = replace(
        listed,
        name=name or listed.name,
        gln=gln or listed.gln,
        gateway=settings.origin,
        contact=parse_contact(contact) if contact else listed.contact,
    )
    verify_listed(lambda: verify_name(entry.name), lambda: verify_gateway_url(settings.origin))
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
        verify_listed(lambda: verify_gln(gln))


def _verify_on_chain(consortium: Consortium, chain_url: str) -> None:
    """Raises SettingsError or ChainError unless the chain has these contracts, and this owner."""
    chain = Chain(Node(HttpTransport(chain_url)), find_profile(consortium.engine), consortium.deployment)
    chain.verify_served()
    operators = fetch_operators(chain)
    if operators.owner != consortium.owner and not operators.members:
        raise errors.WrongChainError(
            f"the registry's owner is {to_checksum(operators.owner)}, not {to_checksum(consortium.owner)}",
            hint="get the consortium file from the operator again",
        )


def verify_same_ledger(layout: Layout, file: Path) -> None:
    found = parse_consortium(read_bounded(file, MAX_CONSORTIUM_BYTES)).deployment
    if found != read_deployment(layout.deployment):
        raise errors.SettingsError(f"{layout.home} is the home of another ledger", hint="join from an empty folder")


def verify_listed(*checks: Callable[[], None]) -> None:
    """Raises InputError for what could not stand in a directory or a settings file."""
    try:
        for check in checks:
            check()
    except errors.TrustError as error:
        raise errors.InputError(error.cause, hint=error.hint) from None


Name = Annotated[str | None, typer.Option("--name", help="What others are to call it.")]
ChainUrl = Annotated[str | None, typer.Option("--chain-url", help="JSON-RPC of a chain node that you trust.")]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65_535, help="Port of the gateway.")]
GatewayUrl = Annotated[
    str | None,
    typer.Option("--gateway-url", help="URL under which others reach the gateway; http://localhost:PORT if omitted."),
]
HostName = Annotated[
    str | None,
    typer.Option(
        "--hostname",
        help="Name under which devices of your network reach the gateway over TLS, as passkeys need it; makes its "
        "certificate.",
    ),
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
Treasury = Annotated[
    str | None,
    typer.Option(
        "--treasury", help="Key with funds that pays for the operator's, on a network with fees: keystore:FILE."
    ),
]
TreasuryPassphraseFile = Annotated[
    Path | None,
    typer.Option("--treasury-passphrase-file", help="File (mode 0600) with its passphrase.", dir_okay=False),
]


def run_init(
    context: typer.Context,
    name: Name = None,
    chain_url: ChainUrl = None,
    engine: Annotated[str | None, typer.Option("--engine", help="Kind of the chain, see SETTINGS.md.")] = None,
    port: Port = None,
    hostname: HostName = None,
    gateway_url: GatewayUrl = None,
    passphrase_file: SecretFile = None,
    treasury: Treasury = None,
    treasury_passphrase_file: TreasuryPassphraseFile = None,
) -> None:
    """Make the home of a consortium's operator: key, contracts on the chain, settings, and the file to join with.

    Asks for what is not given as a flag. Can be repeated after a failure: what exists is kept.
    """
    layout = Layout(context.obj)
    _verify_new(layout)
    answers = answers_to(
        {"name": name, "chain_url": chain_url, "engine": engine, "port": None if port is None else str(port)},
        {
            "name": Question("--name", "Name of the consortium"),
            "chain_url": Question("--chain-url", "JSON-RPC of the chain", "http://127.0.0.1:8545"),
            "engine": Question("--engine", "Kind of the chain", "embedded"),
            "port": Question("--port", f"Port of the operator's gateway{OR_NAME}", "8600"),
        },
        passphrase_file,
    )
    place = choose_place(answers["port"], hostname, gateway_url)
    chain_url, engine = answers["chain_url"], answers["engine"]
    verify_listed(lambda: verify_name(answers["name"]), lambda: verify_gateway_url(place.url))
    verify_listed(lambda: verify_chain_url(answers["chain_url"]))
    node, profile = Node(HttpTransport(chain_url)), find_profile(engine)
    _verify_reachable(node)  # before anything is made
    layout.create_folder()
    secret = read_secret(layout, passphrase_file)
    signer = secret.open_key(layout.key)
    if treasury is not None:
        payer = open_signer(treasury, passphrase_file=treasury_passphrase_file, prompt=ask)
        endow_operator(node, profile, payer, signer.address)
    deployment = _deployed(layout, node, profile, signer)
    text = operator_settings(answers["name"], chain_url, engine, place.port, gateway_url, secret.named_in(layout))
    told = place.write_settings(layout, text)
    consortium = Consortium(answers["name"], chain_url, engine, deployment, signer.address, place.url)
    write_whole(layout.consortium, consortium.to_bytes())  # last: with it, the home is complete
    print_lines(*told)
    _tell(layout, deployment)


def _verify_new(layout: Layout) -> None:
    """Raises SettingsError if the folder is a home already, of any kind but an operator's that is not complete."""
    if layout.settings.exists() and (layout.consortium.exists() or read_settings(layout.home).operator_signer is None):
        raise errors.SettingsError(
            f"{layout.home} is a home already", hint=f"see `millmark --home {layout.home} status`"
        )


def _deployed(layout: Layout, node: Node, profile: EngineProfile, owner: Signer) -> Deployment:
    """The contracts, which are deployed unless an earlier run did."""
    if layout.deployment.exists():
        deployment = read_deployment(layout.deployment)
        Chain(node, profile, deployment).verify_served()
        return deployment
    if profile.faucet:
        node.fund(owner.address)
    deployment = deploy(node, profile, owner)
    write_deployment(layout.deployment, deployment)
    return deployment


def _tell(layout: Layout, deployment: Deployment) -> None:
    print_lines(
        f"ledger {to_checksum(deployment.ledger)} on chain {deployment.chain_id}",
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
    contact: Annotated[
        str | None,
        typer.Option(
            "--contact",
            help="Business contact for the directory. The company's pages show it to everybody, also to whoever scans "
            'a part: "Quality office, quality@alder.example, DE".',
        ),
    ] = None,
    roles: Annotated[
        str | None, typer.Option("--roles", help="Role names separated by commas: " + ", ".join(Role.__members__))
    ] = None,
    port: Port = None,
    hostname: HostName = None,
    chain_url: ChainUrl = None,
    gateway_url: GatewayUrl = None,
    passphrase_file: SecretFile = None,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew", help="Write the request again: with what is given here, the present key and gateway_url."
        ),
    ] = False,
) -> None:
    """Make the home of a company that joins a consortium; once the operator has admitted it, complete the joining.

    Asks for what is not given as a flag. Can be repeated after a failure, and at any time: what exists is kept.
    """
    layout = Layout(context.obj)
    if not (layout.settings.exists() and layout.request.exists()):
        wanted = Wanted(name, gln, contact, roles, port, hostname, chain_url, gateway_url, passphrase_file)
        make_company_home(layout, file, wanted)
        return
    if file is not None:
        verify_same_ledger(layout, file)
    with open_context(layout.home) as opened:
        if renew:
            renew_request(opened, layout, name, gln, contact)
            return
        number = complete_joining(opened, print_lines)
        try_directory(opened, opened.unlock_company(), print_lines)
    print_lines(f"participant {number} has joined", f"next: millmark --home {layout.home} gateway")


def _verify_reachable(node: Node) -> None:
    try:
        node.chain_id()
    except errors.ChainUnreachableError as error:
        raise errors.ChainUnreachableError(
            error.cause, hint=f"{error.hint}; to try it: `millmark devchain --journal chain.journal`"
        ) from None
