"""The node's configuration: one TOML file, read strictly. Relative paths start at the file's folder."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from millmark.ledger.errors import SettingsError, SigningError
from millmark.ledger.keys import read_passphrase

_LEAST_TOKEN = 32
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _from_file(path: Path, info: ValidationInfo) -> Path:
    """Resolves a relative path against the configuration's folder."""
    return Path(info.context["folder"]) / path if info.context else path


def _key_from_file(uri: str, info: ValidationInfo) -> str:
    """Resolves the path of a key likewise."""
    kind, _, place = uri.partition(":")
    return uri if place.startswith("/") else f"{kind}:{_from_file(Path(place), info)}"


ConfigPath: TypeAlias = Annotated[Path, AfterValidator(_from_file)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Subject = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainConfig(_Part):
    """The chain that the records are for, and how to reach it."""

    url: str | None = Field(default=None, pattern=r"^https?://")
    """JSON-RPC endpoint of the company's own chain node; None if a relay sends the records."""
    engine: str = "embedded"
    deployment: ConfigPath = Field(default=Path("deployment.json"), validate_default=True)


class RelayConfig(_Part):
    """Another participant's gateway, which sends the records that this node signs."""

    url: str = Field(pattern=r"^https?://[^/@]+$")
    token_file: ConfigPath | None = None
    """Holds an API key of that gateway for this node's participant, with the scope `relay`. Mode 0600."""
    validity_s: int = Field(default=300, ge=5, le=3600)
    """Seconds from signing to a request's deadline. A request that is not sent by then is signed again."""

    @model_validator(mode="after")
    def _need_encryption(self) -> RelayConfig:
        if self.url.startswith("http:") and _host_of(self.url) not in _LOOPBACK:
            raise ValueError("would send the token unencrypted: use an https:// URL")
        return self


class SignerConfig(_Part):
    """The key that signs records."""

    uri: Annotated[str, Field(pattern=r"^(keystore|file):."), AfterValidator(_key_from_file)]
    passphrase_file: ConfigPath | None = None


class StreamConfig(_Part):
    """One machine's evidence."""

    name: Name
    """Used in events, and as the name of its folder below `streams/`."""
    machine: int = Field(ge=1, lt=2**40)
    """The machine's number in the registry."""
    subject: Subject
    """The subject with which the stream was opened on the ledger (`OpenStream`)."""


class HttpSource(_Part):
    """Address and token of `POST /v1/events`."""

    host: str = "127.0.0.1"
    port: int = Field(default=8610, ge=0, le=65535)
    token_file: ConfigPath | None = None
    """Holds the bearer token that senders must present: one line of at least 32 characters. Mode 0600."""
    hosts: tuple[str, ...] = ()
    """Names by which senders reach the node, besides `host` and the loopback's; for instance that of a proxy. If `host`
    is 0.0.0.0 and there are none, any name is accepted."""

    @model_validator(mode="after")
    def _need_token(self) -> HttpSource:
        if self.host not in _LOOPBACK and self.token_file is None:
            raise ValueError(
                "would accept events from other machines without a token: set a token_file, or a loopback host"
            )
        return self


class FolderSource(_Part):
    """A folder into which machines write `*.jsonl` and `*.csv` files."""

    path: ConfigPath
    stream: Name
    interval_s: float = Field(default=1.0, ge=0.05, le=3600)


class MqttSource(_Part):
    """A subscription to topics of an MQTT broker."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=1, le=65535)
    topic: str = Field(min_length=1, max_length=256)
    stream: Name
    format: Literal["json", "sparkplug"] = "json"
    client_id: str = Field(default="millmark-node", pattern=r"^[A-Za-z0-9-]{1,64}$")
    username: str | None = None
    password_file: ConfigPath | None = None
    ca_file: ConfigPath | None = None
    """CA certificates for verifying the broker's; without it the connection is not encrypted."""

    @model_validator(mode="after")
    def _need_encryption(self) -> MqttSource:
        if self.host not in _LOOPBACK and self.ca_file is None:
            raise ValueError("would connect to another machine unencrypted: set a ca_file, or a loopback host")
        return self


class OpcuaNode(_Part):
    """A variable of an OPC UA server whose values are captured."""

    node: str = Field(pattern=r"^(ns=[0-9]{1,5};)?[isgb]=.{1,256}$")
    """Its node id, such as `ns=2;s=Press.Force`."""
    name: str = Field(min_length=1, max_length=64)
    """Member of the event's `data`."""
    decimals: int = Field(default=0, ge=0, le=9)
    """Values are multiplied by 10**decimals and rounded to whole numbers: the scale that events have."""
    with_lot: bool = True
    """Whether events name the lot and the order, if the server tells them."""

    @model_validator(mode="after")
    def _leave_reserved(self) -> OpcuaNode:
        if self.name == "opcua":
            raise ValueError("the name opcua is taken: data.opcua holds the node and the scale; choose another name")
        return self


class OpcuaSource(_Part):
    """Variables of an OPC UA server."""

    url: str = Field(pattern=r"^opc\.tcp://[^/@\s]+(/\S*)?$")
    stream: Name
    nodes: tuple[OpcuaNode, ...] = Field(min_length=1, max_length=1000)
    interval_ms: int = Field(default=500, ge=50, le=3_600_000)
    """Sampling and publishing interval that the server is asked for."""
    queue: int = Field(default=1000, ge=1, le=100_000)
    """Values of a node that the server keeps between two reports."""
    lot_node: str | None = None
    """Node with the text of the lot being measured, empty for none: an identifier or a subject."""
    order_node: str | None = None
    """Node with the subject of its order."""
    username: str | None = None
    password_file: ConfigPath | None = None
    certificate_file: ConfigPath | None = None
    """The node's own certificate, DER or PEM. With it, messages are signed and encrypted (Basic256Sha256)."""
    key_file: ConfigPath | None = None
    server_certificate_file: ConfigPath | None = None
    """The server's certificate; any other is refused."""
    application_uri: str | None = None
    """As in the node's certificate."""

    @model_validator(mode="after")
    def _fit_together(self) -> OpcuaSource:
        files = (self.certificate_file, self.key_file, self.server_certificate_file)
        if any(one is None for one in files) and any(one is not None for one in files):
            raise ValueError("certificate_file, key_file and server_certificate_file go together")
        if _host_of(self.url) not in _LOOPBACK and self.certificate_file is None:
            raise ValueError("would connect to another machine unencrypted: set the certificate files")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together")
        named = [
            *(one.node for one in self.nodes),
            *(one for one in (self.lot_node, self.order_node) if one is not None),
        ]
        if len(set(named)) < len(named):
            raise ValueError("a node is named twice")
        return self


class ModelSource(_Part):
    """The quality model that inspects one stream."""

    file: ConfigPath
    number: int = Field(ge=1, lt=2**40)
    """The model's number in the registry."""
    field: str = Field(min_length=1, max_length=64)
    """Member of an event's `data` that holds the samples: an integer or an array of them, in the model's unit."""
    width: int = Field(ge=1, le=4096)
    """Samples per window."""
    hop: int = Field(ge=1, le=4096)
    """Samples from the start of one window to the start of the next."""
    stream: Name
    validity_days: int = Field(default=365, ge=1, le=3650)


class AnchorRule(_Part):
    """When the evidence log of a stream is anchored: as soon as one limit is reached for the entries that no anchor
    covers.
    """

    count: int = Field(default=1000, ge=1, le=100_000)
    seconds: float = Field(default=60.0, ge=0.1, le=86_400)
    bytes: int = Field(default=4 << 20, ge=1024, le=64 << 20)


class NodeConfig(_Part):
    """The whole configuration file."""

    data_folder: ConfigPath
    """Holds logs, drafts and, by default, the database: everything that was measured, unencrypted."""
    database: str | None = None
    """SQLAlchemy URL of outbox and book; by default `millmark.sqlite` in the data folder."""
    evidence_folder: ConfigPath | None = None
    """Folder, for this database alone, with the content of the streams' logs, in files named by their hash; without it,
    the content is in the database."""
    record: Literal["evidence", "certificates"] = "evidence"
    """`certificates`: events that name a lot are inspected, and certified. `evidence`: anchors alone."""
    chain: ChainConfig
    relay: RelayConfig | None = None
    signer: SignerConfig
    streams: tuple[StreamConfig, ...] = Field(min_length=1, max_length=64)
    anchor: AnchorRule = AnchorRule()
    http: HttpSource = HttpSource()
    folders: tuple[FolderSource, ...] = ()
    mqtt: tuple[MqttSource, ...] = ()
    opcua: tuple[OpcuaSource, ...] = Field(default=(), max_length=16)
    model: ModelSource | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> NodeConfig:
        names = [stream.name for stream in self.streams]
        subjects = {stream.subject for stream in self.streams}
        if len(set(names)) != len(names) or len(subjects) != len(names):
            raise ValueError("two streams have the same name or the same subject")
        sources: tuple[FolderSource | MqttSource | OpcuaSource, ...] = (*self.folders, *self.mqtt, *self.opcua)
        used = [source.stream for source in sources]
        for name in used if self.model is None else [*used, self.model.stream]:
            if name not in names:
                raise ValueError(f"stream {name!r} is not defined")
        if (self.chain.url is None) != (self.relay is not None):
            raise ValueError("set exactly one of the chain's url and a relay")
        if (self.record == "certificates") != (self.model is not None):
            raise ValueError('set both a model and record = "certificates", or neither')
        return self

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_folder / 'millmark.sqlite'}"


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def read_config(path: Path) -> NodeConfig:
    """Reads and validates the file. Raises SettingsError for the first error found; its text contains no secret."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        config = NodeConfig.model_validate(values, context={"folder": path.absolute().parent})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"{path}: {place}: {problem}" if place else f"{path}: {problem}", hint="correct the configuration"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", hint="name the node's configuration file"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", hint="correct the file") from None
    return config


def read_secret(path: Path) -> str:
    """Returns the single line of a file of mode 0600, at least 32 characters. Raises SettingsError, whose text never
    contains the secret."""
    try:
        secret = read_passphrase(path)
    except SigningError as error:
        raise SettingsError(error.cause, hint=error.hint or "name a readable file of mode 0600") from None
    if len(secret) < _LEAST_TOKEN:
        raise SettingsError(
            f"{path} holds fewer than {_LEAST_TOKEN} characters", hint="create a secret with `openssl rand -hex 32`"
        )
    return secret
