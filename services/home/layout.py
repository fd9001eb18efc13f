"""A home that `millmark init` or `millmark join` made: where things are in it, and the text of its settings."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.errors import SettingsError
from millmark.services.serving.hosts import LOOPBACK_HOSTS
from millmark.services.settings import AUTHORITY_FILES, SETTINGS_FILE


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of a home. Settings name them, so that a user may move them later."""

    home: Path

    @property
    def settings(self) -> Path:
        return self.home / SETTINGS_FILE

    @property
    def deployment(self) -> Path:
        return self.home / "deployment.json"

    @property
    def consortium(self) -> Path:
        """What the operator gives to the companies."""
        return self.home / "consortium.json"

    @property
    def request(self) -> Path:
        """What a company gives to the operator."""
        return self.home / "request.json"

    @property
    def key(self) -> Path:
        """Keystore of the key that signs records: the operator's, or the company's."""
        return self.home / "key.json"

    @property
    def name_key(self) -> Path:
        """Keystore of the key from which the salts of a company's identifiers derive."""
        return self.home / "names.json"

    @property
    def recipient_key(self) -> Path:
        """The key that opens what others encrypt for the company."""
        return self.home / "recipient.json"

    @property
    def captured(self) -> Path:
        """Folder of the logs of streams, in a home that is also a node's data folder."""
        return self.home / "streams"

    @property
    def tls_certificate(self) -> Path:
        """The certificate of a gateway that terminates TLS itself."""
        return self.home / "tls.pem"

    @property
    def tls_key(self) -> Path:
        """The key of that certificate."""
        return self.home / "tls-key.pem"

    @property
    def authority(self) -> Path:
        """The certificate of the authority that issued it: what devices and partners trust."""
        return self.home / AUTHORITY_FILES[0]

    @property
    def authority_key(self) -> Path:
        """The key of that authority."""
        return self.home / AUTHORITY_FILES[1]

    def create_folder(self) -> None:
        """Creates the home, for its owner alone if it does not exist. Raises SettingsError."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"{self.home} cannot be created: {error.strerror}", hint="name another folder"
            ) from None


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a home lacks, as its status says it."""

    what: str
    hint: str
    """The command that mends it, or what else to do."""


# The text of `millmark.toml` as `millmark init` and `millmark join` write it: with what is needed set, and the rest as
# comments with their defaults.

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - others reach it, with credentials and over TLS alone

_HEAD = """\
# {whose}. All settings: services/SETTINGS.md; relative paths start at this folder.

# The chain: JSON-RPC of a node that you trust, and its kind.
chain_url = {chain_url}
engine = {engine}
deployment = "deployment.json"

# Index, outbox and private book. For PostgreSQL: "postgresql://user@host/name".
database = "sqlite:///millmark.sqlite"

# Where the gateway listens. Others need https and a name: set gateway_url, and gateway_tls_... or a proxy.
# gateway_host = "127.0.0.1"
gateway_port = {port}
{url}

# Its certificate and key, if it terminates TLS itself. `millmark tls new NAME` makes both, and sets what is needed.
# gateway_tls_certificate = "tls.pem"
# gateway_tls_key = "tls-key.pem"

# Who may call it: "required" is a credential of a participant (the default).
# gateway_auth = "required"

# How often it looks for new blocks, in seconds.
# follow_interval_s = 1.0

# The audit log.
# audit = "audit"
"""
_OPERATOR = """
# The key that owns the registry: what commands of the operator sign with, unless --signer names another one.
operator_signer = "keystore:key.json"
{passphrase}

# Whether people who may record also act as the operator on the gateway's pages, with this key.
# gateway_operates = false
"""
_COMPANY = """
# The company. The number is set when the operator has admitted it.
{participant}

# The key that signs what the gateway records, and the keys from which the salts of identifiers derive: keep a copy, a
# lost name key cannot be replaced.
gateway_signer = "keystore:key.json"
{passphrase}
gateway_name_keys = ["keystore:names.json"]
{name_passphrase}

# The key that opens what other companies encrypt for this one: keep a copy.
recipient_key = "recipient.json"

# The gateway from which names and addresses of the companies come: the operator's.
directory_url = {directory_url}

{drift_notes}# The authority of their certificates, if it is a private one.
# partner_ca = "partners.pem"
"""
_DRIFT_NOTES = """\
# Whether the gateway signs a note on the ledger when inspections show that what a machine makes drifts, which may be
# another company's machine.
# gateway_drift_notes = false

"""
_UNKNOWN = "# gateway_participant = 0"


def operator_settings(
    name: str, chain_url: str, engine: str, port: int, gateway_url: str | None, passphrase_file: str | None
) -> str:
    """Settings of the operator of the consortium `name`."""
    return _head(f"Operator of {name}", chain_url, engine, port, gateway_url) + _OPERATOR.format(
        passphrase=_or_comment("operator_passphrase_file", passphrase_file, "passphrase")
    )


def company_settings(
    name: str,
    chain_url: str,
    engine: str,
    port: int,
    gateway_url: str | None,
    passphrase_file: str | None,
    directory_url: str,
    *,
    inspects: bool = False,
) -> str:
    """Settings of a company that joins; its number is not known yet. `inspects`: whether it is an inspector."""
    return _head(name, chain_url, engine, port, gateway_url) + _COMPANY.format(
        participant=_UNKNOWN,
        passphrase=_or_comment("gateway_passphrase_file", passphrase_file, "passphrase"),
        name_passphrase=_or_comment("gateway_name_passphrase_file", passphrase_file, "passphrase"),
        directory_url=_quote(directory_url),
        drift_notes=_DRIFT_NOTES if inspects else "",
    )


def set_setting(text: str, name: str, value: int | str) -> str:
    """The text with a value set: in the line that sets it, or else that keeps its place, or else in a new line at the
    end."""
    line = f"{name} = {_quote(value) if isinstance(value, str) else value}"
    for kept in ("", "# ?"):
        changed, count = re.subn(rf"(?m)^{kept}{name} *=.*$", lambda _: line, text, count=1)
        if count:
            return changed
    return f"{text.rstrip()}\n{line}\n"


def set_tls(text: str, layout: Layout, url: str) -> str:
    """The text of settings with which a gateway is reached at `url`, with the certificate of the layout. An address to
    listen on that others reach is kept."""
    listens = re.search(r"(?m)^gateway_host *= *[\"'](.*?)[\"']", text)
    if listens is None or listens[1] in LOOPBACK_HOSTS:
        text = set_setting(text, "gateway_host", _EVERYWHERE)
    text = set_setting(text, "gateway_url", url)
    text = set_setting(text, "gateway_tls_certificate", layout.tls_certificate.name)
    return set_setting(text, "gateway_tls_key", layout.tls_key.name)


def _head(whose: str, chain_url: str, engine: str, port: int, gateway_url: str | None) -> str:
    return _HEAD.format(
        whose=whose,
        chain_url=_quote(chain_url),
        engine=_quote(engine),
        port=port,
        url=_or_comment("gateway_url", gateway_url, "https://gateway.example"),
    )


def _or_comment(name: str, value: str | None, example: str) -> str:
    return f"# {name} = {_quote(example)}" if value is None else f"{name} = {_quote(value)}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a basic string of TOML
