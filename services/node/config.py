"""The node's configuration: one TOML file, read strictly. Relative paths start at the file's folder."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from ledger.errors import SettingsError, SigningError
from ledger.keys import read_passphrase

__all__ = [
    "AnchorRule",
    "FolderSource",
    "HttpSource",
    "ModelSource",
    "MqttSource",
    "NodeConfig",
    "RelayConfig",
    "StreamConfig",
    "read_config",
    "read_secret",
]

_LEAST_TOKEN = 32
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _from_file(path: Path, info: ValidationInfo) -> Path:
    """Below the configuration's folder."""
    return Path(info.context["folder"]) / path if info.context else path


ConfigPath: TypeAlias = Annotated[Path, AfterValidator(_from_file)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Subject = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainConfig(_Part):
    """Where records go."""

    url: str | None = Field(default=None, pattern=r"^https?://")
    """JSON-RPC of the own node; without one, a relay sends."""
    engine: str = "embedded"
    deployment: ConfigPath = Field(default=Path("deployment.json"), validate_default=True)


class RelayConfig(_Part):
    """Another participant's gateway, which sends what this node signs."""

    url: str = Field(pattern=r"^https?://[^/@]+$")
    token_file: ConfigPath | None = None
    """Mode 0600: an API key of that gateway, with the scope `relay`, for this node's participant."""
    validity_s: int = Field(default=300, ge=5, le=3600)
    """From signing to a request's deadline. When the relay lets it pass, the request is signed anew."""

    @model_validator(mode="after")
    def _need_encryption(self) -> RelayConfig:
        if self.url.startswith("http:") and _host_of(self.url) not in _LOOPBACK:
            raise ValueError("would send the token in clear: give an https:// address")
        return self


class SignerConfig(_Part):
    """Who signs."""

    uri: str = Field(pattern=r"^(keystore|file):.")
    passphrase_file: ConfigPath | None = None


class StreamConfig(_Part):
    """One machine's evidence."""

    name: Name
    """Of its folder, and in events."""
    machine: int = Field(ge=1, lt=2**40)
    """The machine's number in the registry."""
    subject: Subject
    """As `OpenStream` made it."""


class HttpSource(_Part):
    """POST /v1/events."""

    host: str = "127.0.0.1"
    port: int = Field(default=8610, ge=0, le=65535)
    token_file: ConfigPath | None = None
    """Mode 0600, one line of at least 32 characters, which senders give as a bearer token."""

    @model_validator(mode="after")
    def _need_token(self) -> HttpSource:
        if self.host not in _LOOPBACK and self.token_file is None:
            raise ValueError("listens beyond this machine without a token: name a token_file, or a loopback host")
        return self


class FolderSource(_Part):
    """A folder into which machines write `*.jsonl` and `*.csv` files."""

    path: ConfigPath
    stream: Name
    interval_s: float = Field(default=1.0, ge=0.05, le=3600)


class MqttSource(_Part):
    """Topics of a broker."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65535)
    topic: str = Field(min_length=1, max_length=256)
    stream: Name
    format: Literal["json", "sparkplug"] = "json"
    client_id: str = Field(default="millmark-node", pattern=r"^[A-Za-z0-9-]{1,64}$")
    username: str | None = None
    password_file: ConfigPath | None = None
    ca_file: ConfigPath | None = None
    """Certificates that the broker's is checked against; without it the connection is not encrypted."""

    @model_validator(mode="after")
    def _need_encryption(self) -> MqttSource:
        if self.host not in _LOOPBACK and self.ca_file is None:
            raise ValueError("reaches beyond this machine unencrypted: name a ca_file, or a loopback host")
        return self


class ModelSource(_Part):
    """What inspects."""

    file: ConfigPath
    number: int = Field(ge=1, lt=2**40)
    """The model's number in the registry."""
    field: str = Field(min_length=1, max_length=64)
    """Member of an event's data with the samples: whole numbers, one or an array, as the model reads them."""
    width: int = Field(ge=1, le=4096)
    """Samples in one window."""
    hop: int = Field(ge=1, le=4096)
    """Samples from the beginning of one window to the next."""
    stream: Name
    validity_days: int = Field(default=365, ge=1, le=3650)


class AnchorRule(_Part):
    """An anchor is due at whichever comes first."""

    count: int = Field(default=1000, ge=1, le=100_000)
    seconds: float = Field(default=60.0, ge=0.1, le=86_400)
    bytes: int = Field(default=4 << 20, ge=1024, le=64 << 20)


class NodeConfig(_Part):
    """All of it."""

    data_folder: ConfigPath
    """Logs, drafts and, by default, the database. Whoever reads it knows all that was measured."""
    database: str | None = None
    """SQLAlchemy URL of outbox and private book; `millmark.sqlite` in the data folder when it is left out."""
    record: Literal["evidence", "certificates"] = "evidence"
    """Whether lots that events name are inspected and certified."""
    chain: ChainConfig
    relay: RelayConfig | None = None
    signer: SignerConfig
    streams: tuple[StreamConfig, ...] = Field(min_length=1, max_length=64)
    anchor: AnchorRule = AnchorRule()
    http: HttpSource = HttpSource()
    folders: tuple[FolderSource, ...] = ()
    mqtt: tuple[MqttSource, ...] = ()
    model: ModelSource | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> NodeConfig:
        names = [stream.name for stream in self.streams]
        subjects = {stream.subject for stream in self.streams}
        if len(set(names)) != len(names) or len(subjects) != len(names):
            raise ValueError("two streams have one name or one subject")
        used = [*(source.stream for source in self.folders), *(source.stream for source in self.mqtt)]
        for name in used if self.model is None else [*used, self.model.stream]:
            if name not in names:
                raise ValueError(f"there is no stream {name!r}")
        if (self.chain.url is None) != (self.relay is not None):
            raise ValueError("the chain's url or a relay: give one of the two")
        if (self.record == "certificates") != (self.model is not None):
            raise ValueError('a model and record = "certificates" go together: give both or neither')
        return self

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_folder / 'millmark.sqlite'}"


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def read_config(path: Path) -> NodeConfig:
    """Raises SettingsError, one line for the first thing that is wrong; values of secrets are not in it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        config = NodeConfig.model_validate(values, context={"folder": path.absolute().parent})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {place}: {told}" if place else f"{path}: {told}", hint="correct it") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="name the node's configuration") from None
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}", hint="correct the file") from None
    return config


def read_secret(path: Path) -> str:
    """The one line of a file of mode 0600, at least 32 characters. Raises SettingsError; the line is never repeated."""
    try:
        secret = read_passphrase(path)
    except SigningError as error:
        raise SettingsError(error.cause, hint=error.hint or "name a file of mode 0600") from None
    if len(secret) < _LEAST_TOKEN:
        raise SettingsError(
            f"{path} holds fewer than {_LEAST_TOKEN} characters", hint="write one with `openssl rand -hex 32`"
        )
    return secret
