"""Settings: from `millmark.toml` in the home folder, and MILLMARK_... variables over it. Unknown names are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from ledger.errors import SettingsError

__all__ = ["SETTINGS_FILE", "Settings", "read_settings"]

SETTINGS_FILE = "millmark.toml"


class Settings(BaseSettings):
    """What the commands and the gateway need to know. Relative paths start at the home folder."""

    model_config = SettingsConfigDict(env_prefix="MILLMARK_", extra="forbid")

    home: Path = Path()
    """Folder of the settings file; everything else is found from here."""
    chain_url: str | None = Field(default=None, pattern=r"^https?://")
    """JSON-RPC address of the own node. Without it commands read the index only."""
    devchain_journal: Path | None = None
    """Journal of an embedded chain that the gateway itself runs, at `chain_url`, as long as it lives: for
    development."""
    engine: str = "embedded"
    """Engine profile of the chain: finality, fees."""
    deployment: Path = Path("deployment.json")
    """Written by `millmark deploy`: chain id and contract addresses."""
    database: str = "sqlite:///millmark.sqlite"
    """SQLAlchemy URL of index, outbox and private book. Whoever reads it can link identifiers to the chain."""
    audit: Path = Path("audit")
    """Folder of the audit log."""
    audit_files: int = Field(default=64, ge=2, le=100_000)
    """Files of 16 MiB that the audit log has at most; the oldest is deleted."""
    audit_stream: str | None = Field(default=None, pattern=r"^0x[0-9a-f]{64}$")
    """Subject of a stream of evidence of the company's own on which the gateway anchors the audit log's head; it needs
    `gateway_signer`. Without it, the log's end can be rewritten unseen."""
    audit_anchor_entries: int = Field(default=10_000, ge=1, le=1_000_000)
    """Entries after which the head is anchored anew."""
    audit_anchor_hours: float = Field(default=24.0, gt=0, le=24 * 366)
    """Hours after which it is, if anything is new."""
    document_keys: Path = Path("document-keys.json")
    """Key file (mode 0600) that opens the documents in the database; made with the first document."""
    pkcs11_module: Path | None = None
    """Library (absolute path) that talks to hardware tokens, for signers `pkcs11:...`. It runs in every command that
    opens such a signer."""
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8600, ge=1, le=65535)
    gateway_auth: Literal["required", "loopback-open"] = "loopback-open"
    """Whether callers need a credential. `loopback-open` gives whoever reaches it all, and is refused off the
    loopback."""
    gateway_tls_certificate: Path | None = None
    """PEM file of the gateway's certificate, when it speaks TLS itself."""
    gateway_tls_key: Path | None = None
    """PEM file (mode 0600) of its key."""
    gateway_tls_client_ca: Path | None = None
    """PEM file of the authorities whose certificates clients must show; without it they show none."""
    gateway_tls_crl: Path | None = None
    """PEM file of those authorities' revocation lists; read again when it changes."""
    gateway_url: str | None = None
    """Address under which callers reach the gateway, when it is another than where it listens."""
    gateway_participant: int | None = Field(default=None, ge=1, le=2**32 - 1)
    """Whose gateway it is; that participant sees all that index and private book hold."""
    gateway_signer: str | None = None
    """Key with which the gateway records in its company's name, as `--signer` takes it, its file from the home folder.
    Without it, it records nothing."""
    gateway_passphrase_file: Path | None = None
    """File (mode 0600) with that keystore's passphrase or token's PIN; asked for at start when it is not set."""
    gateway_rate: float = Field(default=200.0, gt=0, le=100_000)
    """Requests a second of one participant; five seconds' worth may come at once."""
    gateway_anonymous_rate: float = Field(default=20.0, gt=0, le=100_000)
    """As `gateway_rate`, of one address without a credential that counts."""
    passport_disclose: tuple[str, ...] = ("/passport",)
    """What passports and their proofs tell beyond the records: names, evidence, inferences, pointers to fields."""
    credential_keys: tuple[Path, ...] = ()
    """Files (mode 0600) of the keys that sign credentials, the one in use first; the others still prove older ones."""
    webhook_loopback: bool = False
    """Whether webhooks may go to this machine, over http too: for development."""
    follow_interval_s: float = Field(default=1.0, ge=0.1, le=3600)
    """How often the gateway looks for new blocks."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First what the command line says, then the environment, then the file."""
        home = Path(init_settings().get("home", "."))
        file = TomlConfigSettingsSource(settings_cls, home / SETTINGS_FILE)
        return init_settings, env_settings, file

    @property
    def deployment_path(self) -> Path:
        return self.home / self.deployment

    @property
    def origin(self) -> str:
        """Address under which callers reach the gateway."""
        host = f"[{self.gateway_host}]" if ":" in self.gateway_host else self.gateway_host
        scheme = "http" if self.gateway_tls_certificate is None else "https"
        return self.gateway_url or f"{scheme}://{host}:{self.gateway_port}"

    def from_home(self, path: Path | None) -> Path | None:
        """A path out of these settings, relative ones from the home folder."""
        return None if path is None else self.home / path

    @property
    def gateway_signer_uri(self) -> str | None:
        """The signer, the file of a relative path taken from the home folder."""
        scheme, _, place = (self.gateway_signer or "").partition(":")
        if not place or scheme not in ("keystore", "file") or place.startswith("///"):
            return self.gateway_signer
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
    def database_url(self) -> str:
        """The URL, a relative SQLite path taken from the home folder."""
        prefix = "sqlite:///"
        path = Path(self.database.removeprefix(prefix))
        if not self.database.startswith(prefix) or path.is_absolute():
            return self.database
        return f"{prefix}{self.home / path}"


def read_settings(home: Path, **overrides: Any) -> Settings:
    """Raises SettingsError for an unknown name, a value that does not fit, or a file that is no TOML."""
    known = {f"MILLMARK_{name.upper()}" for name in Settings.model_fields} | {"MILLMARK_SOLC"}
    for name in os.environ:
        if name.startswith("MILLMARK_") and name not in known:
            raise SettingsError(f"there is no setting {name}", hint="unset it, or see the README for the settings")
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
