"""Settings, read from `millmark.toml` in the home folder; MILLMARK_... environment variables override it.

Unknown names are refused in both.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from millmark.ledger.errors import SettingsError

SETTINGS_FILE = "millmark.toml"
AUTHORITY_FILES = "authority.pem", "authority-key.pem"
"""Certificate and key of a home's own authority, which no setting names: the gateway needs neither."""


class Auth(enum.StrEnum):
    """How the gateway treats a caller without a credential: word, `is_open`, `may_sign`."""

    is_open: bool
    """Whether such a caller counts as the operator. If so, only this machine may reach the gateway."""
    may_sign: bool
    """Whether the gateway may have a key to record with."""

    # None is no decision: a mode that is added must not be open because nobody said that it is closed.
    def __new__(cls, word: str, is_open: bool | None = None, may_sign: bool | None = None) -> Self:
        if not isinstance(is_open, bool) or not isinstance(may_sign, bool):
            raise TypeError(f"gateway_auth {word} does not state whether it is open and whether the gateway may sign")
        mode = str.__new__(cls, word)
        mode._value_, mode.is_open, mode.may_sign = word, is_open, may_sign
        return mode

    REQUIRED = "required", False, True
    """As anonymous: only the public routes in ACCESS.md are available."""
    LOOPBACK_OPEN = "loopback-open", True, False
    """As the operator. Only for development, with a gateway that cannot record."""
    LOOPBACK_OPEN_SIGNING = "loopback-open-signing", True, True
    """As the operator, also at a gateway that records: anybody on the machine can record in the company's name."""


class Settings(BaseSettings):
    """Settings of the commands and the gateway. Relative paths are relative to the home folder."""

    model_config = SettingsConfigDict(env_prefix="MILLMARK_", extra="forbid")

    home: Path = Path()
    """Folder of the settings file; the other relative paths start here."""
    chain_url: str | None = Field(default=None, pattern=r"^https?://")
    """JSON-RPC address of the company's own node. Without it, commands read the index only."""
    devchain_journal: Path | None = None
    """Journal of an embedded chain that the gateway itself serves at `chain_url` while it runs; for development."""
    node_program: Path | None = None
    """Executable of the chain node that `millmark network start` runs; found on the PATH without it."""
    engine: str = "embedded"
    """Name of the engine profile, which fixes finality depth and fee policy."""
    deployment: Path = Path("deployment.json")
    """Deployment file written by `millmark deploy`: chain id and contract addresses."""
    database: str = "sqlite:///millmark.sqlite"
    """SQLAlchemy URL of index, outbox and private book. A reader of this database can link identifiers to the chain."""
    evidence_folder: Path | None = None
    """Folder, for this database alone, with the content of the streams' logs, in files named by their hash; without it,
    the content is in the database."""
    audit: Path = Path("audit")
    """Folder of the audit log."""
    audit_files: int = Field(default=64, ge=2, le=100_000)
    """Maximum number of audit log files of 16 MiB each; the oldest is deleted for a new one, with `audit_stream` only
    once it is anchored."""
    audit_anonymous_per_day: int = Field(default=20_000, ge=0, le=10_000_000)
    """Maximum number of entries a day about requests without a valid credential; further ones are only counted."""
    audit_stream: str | None = Field(default=None, pattern=r"^0x[0-9a-f]{64}$")
    """Subject of one of the company's own evidence streams, on which the gateway anchors the head of the audit log;
    requires `gateway_signer`. Without it, the end of the log can be rewritten unnoticed."""
    audit_anchor_entries: int = Field(default=10_000, ge=1, le=1_000_000)
    """Number of new entries after which the head is anchored again."""
    audit_anchor_hours: float = Field(default=24.0, gt=0, le=24 * 366)
    """Hours after which the head is anchored again if there are new entries."""
    document_keys: Path = Path("document-keys.json")
    """Key file (mode 0600) that decrypts the documents in the database; created with the first document."""
    pkcs11_module: Path | None = None
    """Absolute path of the PKCS #11 library for signers `pkcs11:...`. Its code runs in every command that opens such a
    signer."""
    gateway_host: str = "127.0.0.1"
    """Address that the gateway listens on. On the loopback, it listens on 127.0.0.1 and ::1, as `localhost`."""
    gateway_port: int = Field(default=8600, ge=1, le=65535)
    gateway_auth: Auth = Auth.REQUIRED
    """Whether callers need a credential. `loopback-open` grants every caller full access; it is refused unless the
    gateway listens on the loopback, and with `gateway_signer`, for which it has to be `loopback-open-signing`."""
    gateway_tls_certificate: Path | None = None
    """PEM file of the gateway's certificate, if it terminates TLS itself."""
    gateway_tls_key: Path | None = None
    """PEM file (mode 0600) of the key of `gateway_tls_certificate`."""
    gateway_tls_client_ca: Path | None = None
    """PEM file of the authorities that must have issued a client's certificate. Without it, clients present none."""
    gateway_tls_crl: Path | None = None
    """PEM file of the revocation lists of `gateway_tls_client_ca`; reread when it changes."""
    gateway_url: str | None = None
    """Public URL of the gateway. Without it, the gateway must listen on the loopback: `http://localhost:PORT`."""
    gateway_participant: int | None = Field(default=None, ge=1, le=2**32 - 1)
    """Number of the participant that runs this gateway. It may see everything in index and private book."""
    gateway_signer: str | None = None
    """URI of the key with which the gateway records for its company, as for `--signer`; a relative file is relative to
    the home folder. Without it, the gateway records nothing."""
    gateway_passphrase_file: Path | None = None
    """File (mode 0600) with the passphrase or PIN of `gateway_signer`; prompted for at start when not set."""
    gateway_name_keys: tuple[str, ...] = ()
    """URIs of all name keys of the company, from which salts derive: as `gateway_signer`, but no token. Whoever reads
    one can test guesses of the company's identifiers. Without them, the gateway names nothing new."""
    gateway_name_passphrase_file: Path | None = None
    """File (mode 0600) with the passphrase of `gateway_name_keys`; prompted for at start when not set."""
    gateway_feedback: bool = True
    """Whether what happens at machines leads to settings, deratings, withdrawn offers and other plans by itself
    (services/planning/FEEDBACK.md); requires `gateway_signer` and `gateway_participant`."""
    gateway_drift_notes: bool = False
    """Whether the gateway of an inspector signs and records a note when what a machine makes drifts, which may be
    another company's; requires `gateway_feedback`."""
    gateway_rate: float = Field(default=200.0, gt=0, le=100_000)
    """Rate limit of one participant, in requests per second; bursts of five seconds' worth are allowed."""
    gateway_anonymous_rate: float = Field(default=20.0, gt=0, le=100_000)
    """Rate limit of one address without a valid credential, in requests per second; bursts as for `gateway_rate`."""
    gateway_connections: int = Field(default=512, ge=8, le=100_000)
    """Maximum number of connections. Each takes a file descriptor (`ulimit -n`)."""
    gateway_connections_per_address: int = Field(default=128, ge=1, le=100_000)
    """Maximum number of connections of one address (IPv6: one /64). Behind a proxy, set it to `gateway_connections`."""
    contact: str | None = Field(default=None, max_length=200)
    """Where readers of pages and passports, with or without a credential, report a problem: a `mailto:` or `https:`
    address, or a text such as a number. Without it, the contact that the directory has; empty to show none."""
    openid_issuer: str | None = None
    """URL of the company's OpenID Connect provider, exactly as it names itself; with it, people sign in there too."""
    openid_client_id: str | None = None
    """What the provider calls this gateway."""
    openid_secret_file: Path | None = None
    """File (mode 0600) with the secret that the provider gave this gateway."""
    passport_disclose: tuple[str, ...] = ("/passport",)
    """What passports and their proofs disclose beyond the records: names, evidence, inferences, JSON pointers."""
    recipient_key: Path | None = None
    """Key file (mode 0600) that opens what other companies encrypt for this one."""
    directory_url: str | None = Field(default=None, pattern=r"^https?://")
    """URL of the gateway from which the directory is fetched: the operator's. Without it, files are imported."""
    partner_ca: Path | None = None
    """PEM file of authorities, beside the machine's, that issue certificates of other companies' gateways."""
    operator_signer: str | None = None
    """URI of the key that owns the registry: what commands of the operator sign with, unless `--signer` is given."""
    gateway_operates: bool = False
    """Whether people who may record act as the operator at this gateway, with `operator_signer`: they admit and suspend
    companies, and publish the directory."""
    operator_passphrase_file: Path | None = None
    """File (mode 0600) with the passphrase or PIN of `operator_signer`; prompted for when not set."""
    credential_keys: tuple[Path, ...] = ()
    """Files (mode 0600) of the keys that sign credentials. The first one signs; the others stay published, so that
    credentials signed with them still verify."""
    webhook_loopback: bool = False
    """Whether webhooks may be delivered to this machine, also over plain http; for development."""
    follow_interval_s: float = Field(default=1.0, ge=0.1, le=20)
    """Interval at which the gateway polls for new blocks, in seconds. After 60 s without a look, it accepts no
    credential."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in order of precedence: command line, environment, settings file."""
        home = Path(init_settings().get("home", "."))
        file = TomlConfigSettingsSource(settings_cls, home / SETTINGS_FILE)
        return init_settings, env_settings, file

    @property
    def deployment_path(self) -> Path:
        return self.home / self.deployment

    @property
    def origin(self) -> str:
        """Scheme, host and port under which callers reach the gateway."""
        tls = self.gateway_tls_certificate is not None
        return self.gateway_url or build_origin(self.gateway_host, self.gateway_port, tls=tls)

    def from_home(self, path: Path | None) -> Path | None:
        """Resolves a path of these settings; relative paths start at the home folder."""
        return None if path is None else self.home / path

    @property
    def gateway_signer_uri(self) -> str | None:
        """`gateway_signer` with a relative file path resolved against the home folder."""
        return None if self.gateway_signer is None else self._key_from_home(self.gateway_signer)

    @property
    def operator_signer_uri(self) -> str | None:
        """`operator_signer` with a relative file path resolved against the home folder."""
        return None if self.operator_signer is None else self._key_from_home(self.operator_signer)

    @property
    def gateway_name_key_uris(self) -> list[str]:
        """`gateway_name_keys` with relative file paths resolved against the home folder."""
        return [self._key_from_home(uri) for uri in self.gateway_name_keys]

    def _key_from_home(self, uri: str) -> str:
        # `///` begins an absolute path, and other schemes, such as pkcs11, name no file.
        scheme, _, place = uri.partition(":")
        if not place or scheme not in ("keystore", "file") or place.startswith("///"):
            return uri
        return f"{scheme}:{self.home / place}"

    @property
    def audit_stream_subject(self) -> bytes | None:
        return None if self.audit_stream is None else bytes.fromhex(self.audit_stream[2:])

    @property
    def audit_path(self) -> Path:
        return self.home / self.audit

    @property
    def document_keys_path(self) -> Path:
        return self.home / self.document_keys

    @property
    def credential_key_paths(self) -> list[Path]:
        return [self.home / path for path in self.credential_keys]

    @property
    def evidence_path(self) -> Path | None:
        return self.from_home(self.evidence_folder)

    @property
    def has_database(self) -> bool:
        """Whether there is a database, or whoever opens one may make it: there are settings that ask for it."""
        file = self.database_url.removeprefix("sqlite:///")
        return self.chain_url is not None or file == self.database_url or Path(file).exists()

    @property
    def database_url(self) -> str:
        """`database` with a relative SQLite path resolved against the home folder."""
        prefix = "sqlite:///"
        path = Path(self.database.removeprefix(prefix))
        if not self.database.startswith(prefix) or path.is_absolute():
            return self.database
        return f"{prefix}{self.home / path}"


def build_origin(host: str, port: int, *, tls: bool) -> str:
    """The origin of a gateway that listens on `host`, where the settings give none. On the loopback, it is at
    `localhost`, since browsers offer passkeys at names alone."""
    name = "localhost" if host in ("localhost", "127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{name}:{port}"


def check_environment() -> None:
    """Raises SettingsError for an environment variable that looks like a setting and is none.

    pydantic ignores unknown environment variables: a misspelt one would silently leave the default in force.
    """
    known = {f"MILLMARK_{name.upper()}" for name in Settings.model_fields} | {"MILLMARK_SOLC"}
    for name in os.environ:
        if name.startswith("MILLMARK_") and name not in known:
            raise SettingsError(f"there is no setting {name}", hint="unset it, or see the README for the settings")


def read_settings(home: Path, **overrides: Any) -> Settings:
    """The settings of `home`. Raises SettingsError for an unknown name, an invalid value or a file that is not TOML."""
    check_environment()
    try:
        return Settings(home=home, **overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"setting {name}: {first['msg']}", hint=f"correct it in {home / SETTINGS_FILE} or the environment"
        ) from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{home / SETTINGS_FILE} cannot be read: {error}", hint="correct the file") from error
