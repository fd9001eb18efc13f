"""`millmark gateway`: put the gateway together from the settings and serve it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError, SettingsError
from millmark.ledger.keys import read_passphrase
from millmark.ledger.provenance import parse_disclosing
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Registry
from millmark.services.access import OPERATOR
from millmark.services.access.people.openid import Provider
from millmark.services.access.signin import SteadyClock
from millmark.services.commands.audit import open_audit
from millmark.services.commands.context import Context, open_context
from millmark.services.commands.handovers import find_receiver
from millmark.services.commands.joining import complete_joining, first_act, open_name_keys, try_directory
from millmark.services.documents import KeyRing
from millmark.services.gateway import GatewayParts, Limiter, Rates, Relay, build_policy, create_gateway
from millmark.services.gateway.follower import DirectorySource
from millmark.services.gateway.http.authentication import Policy
from millmark.services.gateway.own_records import AnchorRule, read_anchored, verify_audit_stream
from millmark.services.gateway.relay.relay import verify_payer
from millmark.services.handover.delivering import Deliveries
from millmark.services.home import Layout
from millmark.services.interop.credentials.keys import read_credential_key
from millmark.services.output import PassphraseFile, print_lines, warn
from millmark.services.planning.feedback.inbox_proposer import InboxProposer
from millmark.services.planning.feedback.taking import NoSetpoints, SetpointProposer
from millmark.services.portal import PASSPORTS, Proofs
from millmark.services.portal.check_page import CheckPage
from millmark.services.products import Catalogue
from millmark.services.serving.connections import ConnectionLimits
from millmark.services.serving.partners import build_partner_tls
from millmark.services.serving.protocol import build_tls, choose_tls
from millmark.services.serving.server import serve
from millmark.services.settings import Settings
from millmark.services.webhooks.dispatcher import DeliveryPolicy


def register(app: typer.Typer) -> None:
    app.command("gateway", epilog="Example: millmark --home millmark-demo/nordwind-mobility gateway")(run)


def run(
    context: typer.Context,
    relay_signer: str | None = typer.Option(
        None, "--relay-signer", help="Key that pays for records that other participants sign and relay: keystore:FILE."
    ),
    passphrase_file: PassphraseFile = None,
) -> None:
    """Serve the partner HTTP API and the portal; the API's documentation is under /docs."""
    with open_context(context.obj) as opened, _own_chain(opened.settings):
        _complete_home(opened)
        settings = opened.settings
        tls = _tls(settings)
        policy = _policy(settings, tls)
        if settings.chain_url is None:
            warn("no chain is configured: the index is served without updates")
        _warn_without_page(CheckPage())
        relay = _build_relay(opened, relay_signer, passphrase_file)
        app = create_gateway(_build_parts(opened, policy, relay))
        print_lines(f"gateway on {policy.origin}/docs; stop with Ctrl-C")
        limits = ConnectionLimits(settings.gateway_connections, settings.gateway_connections_per_address)
        serve(app, settings.gateway_host, settings.gateway_port, tls, limits)


def _warn_without_page(page: CheckPage) -> None:
    if not page.is_built:
        warn(
            "passports offer no check in the browser, since its page is not packed in this installation; run "
            "scripts/check_page in the checkout, install from there, and start again"
        )


def _complete_home(opened: Context) -> None:
    """Completes the joining of a company whose home `millmark join` made, and that the operator has admitted since."""
    settings = opened.settings
    if settings.gateway_participant is None and Layout(settings.home).request.exists():
        complete_joining(opened, warn)
        try_directory(opened, opened.unlock_company(), warn)
        warn(f"next, beside this: {first_act(settings.home)}")


@contextmanager
def _own_chain(settings: Settings) -> Iterator[None]:
    """Serves the embedded chain of the `devchain_journal` setting during the `with` block, if there is one."""
    journal = settings.from_home(settings.devchain_journal)
    if journal is None:
        yield
        return
    from millmark.services.devchain import host_journal  # noqa: PLC0415 - a whole EVM, used here only

    warn(f"replaying the chain in {journal} ...")
    with host_journal(journal, settings.chain_url):
        yield


def _policy(settings: Settings, tls: ssl.SSLContext | None) -> Policy:
    return build_policy(
        settings.gateway_auth,
        host=settings.gateway_host,
        port=settings.gateway_port,
        url=settings.gateway_url,
        owner=_owner(settings),
        tls=tls is not None,
        signs=settings.gateway_signer is not None or settings.gateway_operates,
    )


def _owner(settings: Settings) -> int | None:
    """Whose gateway it is: a company's, by its number, or the operator's, who is not a participant."""
    if settings.gateway_participant is None and settings.operator_signer is not None:
        return OPERATOR
    return settings.gateway_participant


def _build_parts(opened: Context, policy: Policy, relay: Relay | None) -> GatewayParts:
    settings, recording = opened.settings, _recording(opened)
    return GatewayParts(
        opened.store,
        policy,
        clock=SteadyClock(opened.store),
        recording=recording,
        operator=(opened.late_chain(), opened.unlock_operator(None, None)) if settings.gateway_operates else None,
        governing=None if settings.chain_url is None else opened.chain,
        captured=Layout(settings.home).captured.is_dir(),
        receiver=find_receiver(opened),
        deliveries=None if recording is None else Deliveries(opened.store, opened.late_chain(), recording[1]),
        name_keys=open_name_keys(opened),
        relay=relay,
        keys=KeyRing(settings.document_keys_path),
        chain=None if settings.chain_url is None else opened.late_chain(),
        follow_interval_s=settings.follow_interval_s,
        limiter=Limiter(Rates(settings.gateway_rate, settings.gateway_anonymous_rate)),
        proofs=_proofs(opened),
        audit=open_audit(settings, _anchored_reader(opened)),
        anchoring=_anchoring(opened),
        credential_keys={path.stem: read_credential_key(path) for path in settings.credential_key_paths},
        partner_tls=build_partner_tls(settings.from_home(settings.partner_ca)),
        directory=_directory(opened),
        find_product=Catalogue(settings.home).find_digest,
        home=settings.home,
        contact=settings.contact,
        provider=_provider(settings),
        delivery_policy=DeliveryPolicy(loopback=settings.webhook_loopback),
        setpoints=_setpoints(settings),
        drift_notes=_notes_drift(settings),
    )


def _setpoints(settings: Settings) -> SetpointProposer | None:
    """Where feedback proposes settings; None if it is switched off."""
    if not settings.gateway_feedback:
        return None
    if settings.gateway_participant is None:
        return NoSetpoints()
    return InboxProposer(settings.home, settings.gateway_participant)


def _notes_drift(settings: Settings) -> bool:
    """Whether drift alarms become notes. Raises SettingsError if nothing would record them."""
    needed = settings.gateway_feedback, settings.gateway_signer, settings.gateway_participant
    if settings.gateway_drift_notes and not all(needed):
        raise SettingsError(
            "gateway_drift_notes is set, but the gateway has no feedback, no key or no participant to note them with",
            hint="set gateway_signer and gateway_participant, and leave gateway_feedback on",
        )
    return settings.gateway_drift_notes


def _provider(settings: Settings) -> Provider | None:
    """The company's OpenID Connect provider. Raises SettingsError if the settings name it in part."""
    given = (settings.openid_issuer, settings.openid_client_id, settings.from_home(settings.openid_secret_file))
    issuer, client_id, secret = given
    if issuer is None or client_id is None or secret is None:
        if any(given):
            raise SettingsError(
                "openid_issuer, openid_client_id and openid_secret_file belong together", hint="set all three or none"
            )
        return None
    return Provider(issuer, client_id, read_passphrase(secret))


def _proofs(opened: Context) -> Proofs:
    settings = opened.settings
    return Proofs(
        opened.store,
        None
        if settings.chain_url is None
        else opened.late_chain(),  # not the follower's connection: threads do not share
        settings.home / PASSPORTS,
        parse_disclosing(list(settings.passport_disclose)),
    )


def _build_relay(opened: Context, relay_signer: str | None, passphrase_file: Path | None) -> Relay | None:
    """The relay; None if no key is named. Raises SettingsError for a key that has another use."""
    if relay_signer is None:
        return None
    key, chain = opened.unlock(relay_signer, passphrase_file), opened.chain()
    company = None if opened.settings.gateway_signer_uri is None else opened.unlock_company().address
    verify_payer(chain, key.address, company)
    return Relay(chain, opened.chain(), opened.store, key)


def _recording(opened: Context) -> tuple[Chain, Signer] | None:
    """Chain and key for recording; None if no key is set. Raises SettingsError for a key of another company."""
    settings = opened.settings
    if settings.gateway_signer_uri is None:
        return None
    signer = opened.unlock_company()
    with opened.store.reading() as connection:
        known = Registry(connection).participant_of(signer.address)
    # A key that the index does not know is accepted: the index may be behind the chain.
    if known is not None and settings.gateway_participant not in (None, known.number):
        raise SettingsError(
            f"gateway_signer is a key of participant {known.number}, but gateway_participant names another",
            hint="set both for the company that runs this gateway",
        )
    return opened.late_chain(), signer


def _directory(opened: Context) -> DirectorySource | None:
    """Where the directory comes from; None if no gateway is named, or without a chain and a key to sign in with."""
    settings = opened.settings
    if settings.directory_url is None or settings.chain_url is None or settings.gateway_signer is None:
        return None
    tls = build_partner_tls(settings.from_home(settings.partner_ca))
    return DirectorySource(settings.directory_url, opened.unlock_company(), opened.late_chain(), tls)


def _anchoring(opened: Context) -> AnchorRule | None:
    """The rule by which the audit log is anchored; None if no stream is set. Raises SettingsError if it cannot be."""
    settings, stream = opened.settings, opened.settings.audit_stream_subject
    if stream is None:
        return None
    if settings.gateway_signer is None:
        raise SettingsError("audit_stream is set, but the gateway has no key to record with", hint="set gateway_signer")
    try:
        verify_audit_stream(opened.late_chain(), stream, settings.gateway_participant)
    except ChainUnreachableError as error:
        warn(f"audit_stream is compared with the ledger later: {error.cause}")
    return AnchorRule(stream, settings.audit_anchor_entries, int(settings.audit_anchor_hours * 3600))


def _anchored_reader(opened: Context) -> Callable[[], int] | None:
    """Reads how far the audit log is anchored; None if it is not."""
    stream = opened.settings.audit_stream_subject
    return None if stream is None else partial(read_anchored, opened.store, stream)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    files = choose_tls(
        settings.from_home(settings.gateway_tls_certificate),
        settings.from_home(settings.gateway_tls_key),
        settings.from_home(settings.gateway_tls_client_ca),
        settings.from_home(settings.gateway_tls_crl),
    )
    return None if files is None else build_tls(files)
