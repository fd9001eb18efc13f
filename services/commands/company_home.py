"""The home of a company, as `millmark join` makes it, and the request with which it asks to be admitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from millmark.ledger.chain import (
    Chain,
    Deployment,
    HttpTransport,
    Node,
    find_profile,
    read_deployment,
    write_deployment,
)
from millmark.ledger.errors import InputError, SettingsError, TrustError, WrongChainError
from millmark.ledger.keys import to_checksum
from millmark.ledger.records import Role
from millmark.ledger.signatures import Signer
from millmark.services.commands.context import Context
from millmark.services.commands.funding import tell_fees
from millmark.services.commands.questions import Question, answers_to, read_secret
from millmark.services.commands.tls import OR_NAME, Place, choose_place
from millmark.services.directory import DirectoryEntry, fetch_operators, sign_statement
from millmark.services.directory.document import Contact, parse_contact, verify_gateway_url, verify_gln, verify_name
from millmark.services.documents.encryption import create_recipient_key, read_recipient_key
from millmark.services.files import read_bounded, write_whole
from millmark.services.home import AdmissionRequest, Consortium, Layout, company_settings, parse_consortium
from millmark.services.home.joining_files import (
    MAX_CONSORTIUM_BYTES,
    MAX_REQUEST_BYTES,
    parse_request,
    verify_chain_url,
)
from millmark.services.output import parse_roles, print_lines
from millmark.services.settings import read_settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the flags of `join` say of the company."""

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
        raise InputError("no consortium to join is named", hint="give the operator's consortium.json")
    if layout.settings.exists() and read_settings(layout.home).directory_url is None:
        raise SettingsError(
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
        raise SettingsError("no recipient key is named", hint="set recipient_key in millmark.toml")
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
        raise WrongChainError(
            f"the registry's owner is {to_checksum(operators.owner)}, not {to_checksum(consortium.owner)}",
            hint="get the consortium file from the operator again",
        )


def verify_same_ledger(layout: Layout, file: Path) -> None:
    found = parse_consortium(read_bounded(file, MAX_CONSORTIUM_BYTES)).deployment
    if found != read_deployment(layout.deployment):
        raise SettingsError(f"{layout.home} is the home of another ledger", hint="join from an empty folder")


def verify_listed(*checks: Callable[[], None]) -> None:
    """Raises InputError for what could not stand in a directory or a settings file."""
    try:
        for check in checks:
            check()
    except TrustError as error:
        raise InputError(error.cause, hint=error.hint) from None
