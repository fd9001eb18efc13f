"""What the chain must say before a node submits: that the key, the streams and the model are this participant's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from ledger.chain import Chain, HttpTransport, Node, find_profile, read_deployment
from ledger.errors import ContractRefusedError, SettingsError
from ledger.records import Contract, ModelState
from services.node.config import NodeConfig, StreamConfig
from services.node.recording import StreamRecorder

if TYPE_CHECKING:
    from quality import Inspector

__all__ = ["connect", "verify_logs", "verify_standing"]


def connect(config: NodeConfig, key: bytes, inspector: Inspector | None) -> Chain:
    """The checked contracts. Raises ChainUnreachableError, WrongChainError, WrongContractError, and SettingsError as
    `verify_standing` does."""
    node = Node(HttpTransport(config.chain.url))
    chain = Chain(node, find_profile(config.chain.engine), read_deployment(config.chain.deployment))
    verify_standing(chain, config, key, inspector)
    return chain


def verify_standing(chain: Chain, config: NodeConfig, key: bytes, inspector: Inspector | None) -> None:
    """1. The signing key acts for a participant. 2. Each stream is there, his, and of the machine that is configured.
    3. The model has the file's digest, and is approved. Raises SettingsError."""
    try:
        participant = cast(int, chain.read(Contract.REGISTRY, "actorOf", key)[0])
    except ContractRefusedError as error:
        raise SettingsError(
            f"key 0x{key.hex()} acts for no participant: {error.name}", mend="have the company add it, or name another"
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
        raise SettingsError(f"stream {stream.name} is not on the ledger", mend="open it first, or correct its subject")
    if found["owner"] != participant:
        raise SettingsError(
            f"stream {stream.name} belongs to participant {cast(int, found['owner'])}, the key acts for {participant}",
            mend="name a stream of your own, or its owner's key",
        )
    if found["machine"] != stream.machine:
        raise SettingsError(
            f"stream {stream.name} is of machine {cast(int, found['machine'])}, not {stream.machine}",
            mend="correct the machine",
        )


def _verify_model(chain: Chain, number: int, inspector: Inspector) -> None:
    found = chain.read_struct(Contract.REGISTRY, "modelOf", number)
    if found["digest"] != inspector.model_digest:
        raise SettingsError(f"model {number} on the ledger is not the one in the file", mend="correct number or file")
    if found["state"] != ModelState.APPROVED:
        raise SettingsError(f"model {number} is not approved", mend="have an auditor approve it")
