"""`millmark init` and `millmark join`: a home that works, for the operator of a consortium and for its companies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
from millmark.ledger.errors import ChainUnreachableError, SettingsError
from millmark.ledger.keys import open_signer, to_checksum
from millmark.ledger.records import Role
from millmark.ledger.signatures import Signer
from millmark.services.commands.company_home import (
    Wanted,
    make_company_home,
    renew_request,
    verify_listed,
    verify_same_ledger,
)
from millmark.services.commands.context import ask, open_context
from millmark.services.commands.funding import endow_operator
from millmark.services.commands.joining import complete_joining, try_directory
from millmark.services.commands.questions import Question, answers_to, read_secret
from millmark.services.commands.tls import OR_NAME, choose_place
from millmark.services.directory.document import verify_gateway_url, verify_name
from millmark.services.files import write_whole
from millmark.services.home import (
    Consortium,
    Layout,
    operator_settings,
)
from millmark.services.home.joining_files import verify_chain_url
from millmark.services.output import print_lines
from millmark.services.settings import read_settings

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
    _verify_free(layout)
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


def _verify_free(layout: Layout) -> None:
    """Raises SettingsError if the folder is a home already, of any kind but an operator's that is not complete."""
    if layout.settings.exists() and (layout.consortium.exists() or read_settings(layout.home).operator_signer is None):
        raise SettingsError(f"{layout.home} is a home already", hint=f"see `millmark --home {layout.home} status`")


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
    except ChainUnreachableError as error:
        raise ChainUnreachableError(
            error.cause, hint=f"{error.hint}; to try it: `millmark devchain --journal chain.journal`"
        ) from None
