"""Checks before a node submits: signing key, streams and model match the ledger.

With a relay, the only check is that it sends to the deployment's ledger, whose contracts then check every record.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from millmark.ledger.chain import Chain, Deployment, HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.errors import ContractRefusedError, SettingsError, WrongChainError
from millmark.ledger.records import Contract, ModelState
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.submit import RelaySubmitter
from millmark.services.node.config import NodeConfig, RelayConfig, StreamConfig, read_secret
from millmark.services.node.evidence_recorder import StreamRecorder

if TYPE_CHECKING:
    from millmark.quality import Inspector
    from millmark.services.relay import HttpRelay


def connect_chain(config: NodeConfig, key: bytes, inspector: Inspector | None) -> Chain:
    """Connects to the company's own chain node and checks chain, contracts and configuration.

    Raises ChainUnreachableError, WrongChainError, WrongContractError, or SettingsError as `verify_registered` does.
    """
    if config.chain.url is None:
        raise SettingsError("no chain is configured", hint="set the chain's url")
    node = Node(HttpTransport(config.chain.url))
    chain = Chain(node, find_profile(config.chain.engine), read_deployment(config.chain.deployment))
    verify_registered(chain, config, key, inspector)
    return chain


def open_relay(stack: ExitStack, config: RelayConfig) -> HttpRelay:
    """Opens a client of the relay, which `stack` closes. Raises SettingsError for an unusable token file."""
    from millmark.services.relay import HttpRelay  # noqa: PLC0415 - needs an HTTP client, which is not installed without a relay

    relay = HttpRelay(config.url, None if config.token_file is None else read_secret(config.token_file))
    stack.callback(relay.close)
    return relay


def connect_relay(
    relay: HttpRelay, config: RelayConfig, deployment: Deployment, store: Store, signer: Signer
) -> RelaySubmitter:
    """Returns a submitter that sends through the relay. Raises ChainUnreachableError, and WrongChainError if the relay
    sends to another ledger."""
    terms = relay.terms(signer.address)
    # Requests are bound to chain and forwarder by their signature: any other relay would have to refuse all of them.
    if (terms.chain_id, terms.forwarder) != (deployment.chain_id, deployment.forwarder):
        raise WrongChainError(
            f"the relay uses chain {terms.chain_id} and forwarder 0x{terms.forwarder.hex()}, "
            f"but the deployment has chain {deployment.chain_id} and forwarder 0x{deployment.forwarder.hex()}",
            hint="correct the relay's url or the deployment file",
        )
    return RelaySubmitter(relay, deployment, store, signer, validity_s=config.validity_s)


def verify_registered(chain: Chain, config: NodeConfig, key: bytes, inspector: Inspector | None) -> None:
    """Checks the configuration against the ledger. Raises SettingsError.

    1. The signing key acts for a participant.
    2. Each stream is on the ledger, belongs to that participant, and is of the configured machine.
    3. The model's digest is that of the file, and the model is approved.
    """
    try:
        # The function by which the contracts themselves find the participant who acts, so the two cannot disagree.
        participant = cast(int, chain.read(Contract.REGISTRY, "actorOf", key)[0])
    except ContractRefusedError as error:
        raise SettingsError(
            f"key 0x{key.hex()} acts for no participant: {error.name}",
            hint="have the company add the key, or use another",
        ) from None
    for stream in config.streams:
        _verify_stream(chain, stream, participant)
    if config.model is not None and inspector is not None:
        _verify_model(chain, config.model.number, inspector)


def verify_logs(chain: Chain, recorders: Iterable[StreamRecorder], *, thorough: bool = True) -> None:
    """Checks that every log contains the entries that the ledger has anchored. Unless `thorough`, a log is not read if
    the ledger's latest anchor is one of the outbox. Raises SettingsError if a database is older than the ledger,
    StoreDamagedError if a log differs."""
    for recorder in recorders:
        # An anchor over a log that lost or changed anchored entries could never be proved consistent with the earlier
        # ones.
        found = chain.read_struct(Contract.LEDGER, "streamOf", recorder.stream)
        size, root = cast(int, found["size"]), cast(bytes, found["root"])
        if thorough or not recorder.is_own_anchor(size, root):
            recorder.verify_anchored(size, root)


def _verify_stream(chain: Chain, stream: StreamConfig, participant: int) -> None:
    found = chain.read_struct(Contract.LEDGER, "streamOf", bytes.fromhex(stream.subject[2:]))
    owner, machine = cast(int, found["owner"]), cast(int, found["machine"])
    if found["sequence"] == 0:
        raise SettingsError(
            f"stream {stream.name} is not on the ledger", hint="open the stream, or correct its subject"
        )
    if owner != participant:
        raise SettingsError(
            f"stream {stream.name} belongs to participant {owner}, but the key acts for {participant}",
            hint="use a stream of that participant, or a key of the stream's owner",
        )
    if machine != stream.machine:
        raise SettingsError(
            f"stream {stream.name} belongs to machine {machine}, not {stream.machine}",
            hint="correct the machine number",
        )


def _verify_model(chain: Chain, number: int, inspector: Inspector) -> None:
    found = chain.read_struct(Contract.REGISTRY, "modelOf", number)
    # A certificate names its model by number: issued with another file, each could be refuted on chain.
    if found["digest"] != inspector.model_digest:
        raise SettingsError(
            f"model {number} on the ledger differs from the model file", hint="correct the model's number or its file"
        )
    if found["state"] != ModelState.APPROVED:
        raise SettingsError(f"model {number} is not approved", hint="have an auditor approve it")
