"""What must hold before a node submits: that key, streams and model are this participant's on the chain; or, where a
relay sends, that it sends to the same ledger, which then judges every record."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from ledger.chain import Chain, Deployment, HttpTransport, Node, find_profile, read_deployment
from ledger.errors import ContractRefusedError, SettingsError, WrongChainError
from ledger.keys import Signer
from ledger.records import Contract, ModelState
from ledger.store import Store
from ledger.submit import RelaySubmitter
from services.node.config import NodeConfig, RelayConfig, StreamConfig, read_secret
from services.node.evidence_recorder import StreamRecorder

if TYPE_CHECKING:
    from quality import Inspector
    from services.relay import HttpRelay

__all__ = ["connect", "connect_relay", "open_relay", "verify_logs", "verify_standing"]


def connect(config: NodeConfig, key: bytes, inspector: Inspector | None) -> Chain:
    """The checked contracts. Raises ChainUnreachableError, WrongChainError, WrongContractError, and SettingsError as
    `verify_standing` does."""
    if config.chain.url is None:
        raise SettingsError("no chain is configured", hint="give the chain's url")
    node = Node(HttpTransport(config.chain.url))
    chain = Chain(node, find_profile(config.chain.engine), read_deployment(config.chain.deployment))
    verify_standing(chain, config, key, inspector)
    return chain


def open_relay(stack: ExitStack, config: RelayConfig) -> HttpRelay:
    """Raises SettingsError for an unusable token file."""
    from services.relay import HttpRelay  # noqa: PLC0415 - an HTTP client that a node of its own chain lacks

    relay = HttpRelay(config.url, None if config.token_file is None else read_secret(config.token_file))
    stack.callback(relay.close)
    return relay


def connect_relay(
    relay: HttpRelay, config: RelayConfig, deployment: Deployment, store: Store, signer: Signer
) -> RelaySubmitter:
    """Raises ChainUnreachableError, and WrongChainError when the relay sends to another ledger."""
    terms = relay.terms(signer.address)
    if (terms.chain_id, terms.forwarder) != (deployment.chain_id, deployment.forwarder):
        raise WrongChainError(
            f"the relay sends to chain {terms.chain_id} and forwarder 0x{terms.forwarder.hex()}, "
            f"the deployment's are {deployment.chain_id} and 0x{deployment.forwarder.hex()}",
            hint="correct the relay's url, or use that ledger's deployment file",
        )
    return RelaySubmitter(relay, deployment, store, signer, validity_s=config.validity_s)


def verify_standing(chain: Chain, config: NodeConfig, key: bytes, inspector: Inspector | None) -> None:
    """1. The signing key acts for a participant. 2. Each stream is there, his, and of the machine that is configured.
    3. The model has the file's digest, and is approved. Raises SettingsError."""
    try:
        participant = cast(int, chain.read(Contract.REGISTRY, "actorOf", key)[0])
    except ContractRefusedError as error:
        raise SettingsError(
            f"key 0x{key.hex()} acts for no participant: {error.name}", hint="have the company add it, or name another"
        ) from None
    for stream in config.streams:
        _verify_stream(chain, stream, participant)
    if config.model is not None and inspector is not None:
        _verify_model(chain, config.model.number, inspector)


def verify_logs(chain: Chain, recorders: Iterable[StreamRecorder]) -> None:
    """That every log goes on from what the ledger has of it. Raises SettingsError or StoreDamagedError."""
    for recorder in recorders:
        found = chain.read_struct(Contract.LEDGER, "streamOf", recorder.stream)
        recorder.verify_anchored(cast(int, found["size"]), cast(bytes, found["root"]))


def _verify_stream(chain: Chain, stream: StreamConfig, participant: int) -> None:
    found = chain.read_struct(Contract.LEDGER, "streamOf", bytes.fromhex(stream.subject[2:]))
    if found["sequence"] == 0:
        raise SettingsError(f"stream {stream.name} is not on the ledger", hint="open it first, or correct its subject")
    if found["owner"] != participant:
        raise SettingsError(
            f"stream {stream.name} belongs to participant {cast(int, found['owner'])}, the key acts for {participant}",
            hint="name a stream of your own, or its owner's key",
        )
    if found["machine"] != stream.machine:
        raise SettingsError(
            f"stream {stream.name} is of machine {cast(int, found['machine'])}, not {stream.machine}",
            hint="correct the machine",
        )


def _verify_model(chain: Chain, number: int, inspector: Inspector) -> None:
    found = chain.read_struct(Contract.REGISTRY, "modelOf", number)
    if found["digest"] != inspector.model_digest:
        raise SettingsError(f"model {number} on the ledger is not the one in the file", hint="correct number or file")
    if found["state"] != ModelState.APPROVED:
        raise SettingsError(f"model {number} is not approved", hint="have an auditor approve it")
