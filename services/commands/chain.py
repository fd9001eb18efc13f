"""`millmark devchain`, `deploy`, `status` and `rebuild`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer
import uvicorn

from millmark import ledger
from millmark.ledger import errors
from millmark.ledger.chain import Chain, Transport, deploy, find_profile, write_deployment
from millmark.ledger.index import Follower, IndexCheck, IndexStatus, check_book, check_rows, fetch_status
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract
from millmark.ledger.seals import MAX_VALIDATORS
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Funds, look_at_funds, verify_outbox
from millmark.services.commands.context import Context, open_context
from millmark.services.handover.repository import count_handovers
from millmark.services.home import find_missing, find_missing_files, find_paying_keys
from millmark.services.output import AsJson, PassphraseFile, SignerUri, print_json, print_lines, warn
from millmark.services.serving.hosts import choose_hosts
from millmark.services.serving.loop import describe_low
from millmark.services.serving.server import listen, serve_on
from millmark.services.store import open_store
from millmark.services.text.chain_health import ChainHealth, observe_chain
from millmark.services.text.outbox import describe_queue, queue_lines

if TYPE_CHECKING:
    from millmark.services.inspections.model_health import ModelHealth


def register(app: typer.Typer) -> None:
    app.command("devchain", epilog="Example: millmark devchain --port 8545")(run_devchain)
    app.command("deploy", epilog="Example: millmark deploy --signer keystore:owner.json")(run_deploy)
    app.command("status", epilog="Example: millmark status --json")(run_status)
    app.command("rebuild", epilog="Example: millmark rebuild")(run_rebuild)


def run_devchain(
    host: str = typer.Option("127.0.0.1", help="Address to listen on; the chain has no authentication."),
    port: int = typer.Option(8545, min=0, max=65535, help="Port to listen on; 0 for any free one."),
    journal: Path | None = typer.Option(
        None, "--journal", dir_okay=False, help="File that keeps the chain; the next run with it continues the chain."
    ),
    validators: int = typer.Option(
        0,
        min=0,
        max=MAX_VALIDATORS,
        help="Seal blocks with the keys of so many validators, as on a QBFT network. This one process holds all of "
        "them: it shows sealed bundles, and no network. A journal keeps them.",
    ),
    name: list[str] | None = typer.Option(
        None, "--name", help="Further host name to serve it under, such as that of a container; repeatable."
    ),
) -> None:
    """Run the embedded chain behind JSON-RPC, for development. It is held in memory and lost when the command ends,
    unless a journal keeps it."""
    from millmark.services.devchain import JournaledChain, create_devchain  # noqa: PLC0415 - a whole EVM, used here only

    chain: Transport
    if journal is not None:
        chain = JournaledChain(journal, validators)
    else:
        chain = ledger.EmbeddedChain(validators=[LocalSigner.generate() for _ in range(validators)])
    listener = listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"
    print_lines(f"devchain on {url}, engine profile 'embedded'; stop with Ctrl-C")
    if validators:
        print_lines(f"its blocks are sealed by {validators} validators, whose keys this one process holds")
    sys.stdout.flush()  # programs that start a devchain read its URL from this line
    app = create_devchain(chain, choose_hosts(host, name or ()))
    serve_on([listener], uvicorn.Server(uvicorn.Config(app, log_level="warning")))


def run_deploy(context: typer.Context, signer: SignerUri, passphrase_file: PassphraseFile = None) -> None:
    """Deploy Forwarder, Registry and TraceLedger with the signer as owner, and write the deployment file."""
    with open_context(context.obj) as opened:
        path = opened.settings.deployment_path
        # Checked before gas is spent, and the addresses are printed before the file is written, so that they are not
        # lost if that fails.
        if path.exists():
            raise errors.SettingsError(f"{path} exists already", hint="move it away to deploy another ledger")
        owner, node = opened.unlock(signer, passphrase_file), opened.node()
        profile = find_profile(opened.settings.engine)
        if profile.faucet:
            node.fund(owner.address)
        deployment = deploy(node, profile, owner)
        print_lines(
            f"registry  0x{deployment.registry.hex()}",
            f"ledger    0x{deployment.ledger.hex()}",
            f"forwarder 0x{deployment.forwarder.hex()}",
            f"on chain {deployment.chain_id} after block {deployment.block_number}",
        )
        write_deployment(path, deployment)
    print_lines(f"written to {path}")


def run_status(
    context: typer.Context,
    deep: bool = typer.Option(
        False,
        "--deep",
        help="Follow the whole chain again and compare every row, and the private book with the hashes on the ledger; "
        "takes as long as a rebuild.",
    ),
    as_json: AsJson = False,
) -> None:
    """Print the state of chain, index and outbox, compare the index with the chain, and say what the home lacks, with
    the command that mends it. Exit code 1 if index and chain differ, nothing is recorded, or the chain does not answer,
    3 if the chain makes no blocks, or the node is cut off from it or behind it."""
    with open_context(context.obj, looking=True) as opened:
        behind = opened.catch_up()
        unreachable = behind if isinstance(behind, errors.ChainUnreachableError) else None
        found, health = _status(opened, unreachable)
        check = _check(opened, deep) if behind is None and opened.settings.chain_url is not None else None
        book = check_book(opened.store) if deep else []
        models = _models(opened) if found["index"] is not None else []
        with opened.store.reading() as connection:
            missing = [*find_missing_files(opened.settings), *find_missing(connection, opened.settings)]
        funds = [] if health is None else _funds(opened)
        found["stopped"] = stopped = [] if health is None else _stopped(opened)
    alarms = [] if health is None else health.alarms()
    found["alarms"] = alarms
    found["warnings"] = warnings = [] if health is None else health.warnings()
    found["check"] = None if check is None else asdict(check)
    found["book"] = book if deep else None
    found["models"] = [health.to_json() for health in models]
    found["funds"] = [one.to_json() for one in funds]
    found["missing"] = [asdict(one) for one in missing]
    if as_json:
        print_json(context, found)
    else:
        drift = [f"model   {health.model}, drift {health.describe_drift()}" for health in models]
        print_lines(*_as_text(found, alarms), *_findings(check), *_book_findings(book, deep), *drift)
        print_lines(*warnings, *_funds_findings(funds))
        print_lines(*(f"missing {one.what}; {one.hint}" for one in missing))
    if unreachable is not None:
        raise typer.Exit(unreachable.exit_code)
    # With a chain but no health, the chain was followed, and then gave no answer.
    if stopped or book or (health is None and found["chain"] is not None):
        raise typer.Exit(1)
    # A node that is behind differs from the index, and that is not the index's fault.
    if (found["equal"] is False and not alarms) or (check is not None and check.differences):
        raise typer.Exit(1)
    if alarms:
        raise typer.Exit(errors.NodeBehindError.exit_code)


def _stopped(opened: Context) -> list[str]:
    """Why nothing is recorded with keys of the home, with the remedy, by the comparison after which the gateway stops;
    empty if it does record, or the node does not answer."""
    chain, found = opened.chain_at_hand(), []
    with opened.store.reading() as connection:
        keys = find_paying_keys(connection, opened.settings)
    for key in keys:
        try:
            for relay in (False, True):
                # Not remembered: what one of the two finds current, the other may not.
                verify_outbox(chain, opened.store, key, relay=relay, remember=False)
        except (errors.OutboxOlderError, errors.LedgerSetBackError) as error:
            found.append(str(error))
        except errors.ChainError as error:
            warn(f"millmark: the outbox was not compared with the ledger: {error}")
    return found


def _funds(opened: Context) -> list[Funds]:
    """What the home's keys have for gas; empty where the node funds them, or does not answer."""
    chain = opened.chain_at_hand()
    if chain.profile.faucet:
        return []
    with opened.store.reading() as connection:
        keys = find_paying_keys(connection, opened.settings)
    try:
        return [
            one for one in look_at_funds(chain.node, chain.profile, opened.store, keys, time.time()) if not one.is_free
        ]
    except errors.ChainError as error:
        warn(f"millmark: the keys' balances were not seen: {error}")
        return []


def _funds_findings(found: Sequence[Funds]) -> list[str]:
    low = describe_low(found)
    lines = [f"funds   {to_checksum(one.key)}: {one.describe()}" for one in found]
    return lines if low is None else [*lines, f"{low[0]}; {low[1]}"]


def _check(opened: Context, deep: bool) -> IndexCheck | None:
    if not deep:
        return opened.compare_index()
    with TemporaryDirectory() as folder, open_store(f"sqlite:///{Path(folder) / 'scratch.sqlite'}") as scratch:
        return check_rows(opened.store, opened.chain(), scratch)


def _models(opened: Context) -> list[ModelHealth]:
    """The health of each model; empty if numpy is not installed."""
    try:
        from millmark.services.inspections.model_health import monitor  # noqa: PLC0415 - numpy is optional
    except ModuleNotFoundError:
        return []
    return monitor(opened.store)


def _findings(check: IndexCheck | None) -> list[str]:
    if check is None:
        return []
    if not check.differences:
        return [
            f"check   {check.records} records and {check.heads} heads equal the chain's at block {check.block_number}"
        ]
    lines = [f"check   {line}" for line in check.findings]
    return [*lines, f"{check.differences} differences; `millmark rebuild` builds the index again from the chain"]


def _book_findings(book: Sequence[str], deep: bool) -> list[str]:
    if not book:
        return ["book    names, claims, evidence and models are those behind the ledger's hashes"] if deep else []
    return [*(f"book    {line}" for line in book), "the private book was changed: restore it from a backup"]


def _status(
    opened: Context, unreachable: errors.ChainUnreachableError | None
) -> tuple[dict[str, object], ChainHealth | None]:
    index = fetch_status(opened.store)
    found: dict[str, object] = {"chain": None, "index": None, "equal": None, "outbox": Outbox(opened.store).counts()}
    found["queue"] = describe_queue(Outbox(opened.store), time.time())
    found["handovers"] = count_handovers(opened.store)
    found["index"] = _index_json(index)
    if opened.settings.chain_url is None:
        return found, None
    if unreachable is not None:
        found["chain"] = {"error": str(unreachable)}  # not asked again: a node that hangs would take as long again
        return found, None
    try:
        chain = opened.chain_at_hand()
        index, sequences, equal = _compare(opened, chain, index)
        health = observe_chain(chain, Outbox(opened.store).seen_block(), time.time())
    except errors.ChainError as error:
        found["chain"] = {"error": str(error)}
        return found, None
    found["chain"] = {"chain_id": chain.chain_id, **health.to_json(), **sequences}
    found["index"], found["equal"] = _index_json(index), equal
    return found, health


def _compare(
    opened: Context, chain: Chain, index: IndexStatus | None
) -> tuple[IndexStatus | None, dict[str, int], bool | None]:
    """The index, how many records the chain has, and whether the index has them all and no more; None for that while
    another process indexes.

    Records that come while one looks are in the one and not yet in the other. So where they differ, the index is
    brought up to date again, and must then be between what the chain had before and what it has afterwards.
    """
    before = _sequences(chain)
    if index is None or _counts(index) == before:
        return index, before, None if index is None else True
    behind = opened.catch_up()
    index, after = fetch_status(opened.store), _sequences(chain)
    if isinstance(behind, errors.StoreBusyError):
        return index, after, None
    if behind is not None:
        raise behind
    counts = {} if index is None else _counts(index)
    return index, after, bool(counts) and all(before[name] <= counts[name] <= after[name] for name in before)


def _sequences(chain: Chain) -> dict[str, int]:
    return {f"{contract.value}_sequence": chain.sequence(contract) for contract in Contract}


def _counts(index: IndexStatus) -> dict[str, int]:
    return {"registry_sequence": index.registry_sequence, "ledger_sequence": index.ledger_sequence}


def _index_json(index: IndexStatus | None) -> dict[str, object] | None:
    if index is None:
        return None
    where = {"chain_id": index.chain_id, "block_number": index.block_number}
    return {**where, **_counts(index), "digest": "0x" + index.digest.hex()}


def _as_text(found: dict[str, object], alarms: Sequence[str]) -> list[str]:
    lines = []
    for part in ("chain", "index", "outbox"):
        values = found[part]
        told = values.items() if isinstance(values, dict) else ()
        shown = ", ".join(f"{name} {value}" for name, value in told if value is not None)
        lines.append(f"{part:<7} {shown or 'none'}")
    outbox, queue, equal, stopped = found["outbox"], found["queue"], found["equal"], found["stopped"]
    if isinstance(stopped, list) and stopped:
        lines += [f"nothing is recorded: {why}" for why in stopped]  # in place of what the queue waits for
    elif isinstance(outbox, Mapping) and isinstance(queue, Mapping):
        lines += [f"        {line}" for line in queue_lines(outbox, queue)]
    handovers = found["handovers"]
    if isinstance(handovers, Mapping) and handovers.get("waiting"):
        lines.append(f"hand-overs: {handovers['waiting']} wait; see `millmark handovers list --waiting`")
    if isinstance(handovers, Mapping) and handovers.get("partial"):
        lines.append(
            f"hand-overs: {handovers['partial']} went without the order's document, which has yet to come here"
        )
    lines += alarms
    whose = "this node's state" if alarms else "chain"
    if equal is not None:
        lines.append(f"index {'equals' if equal else 'differs from'} {whose}")
    elif isinstance(chain := found["chain"], Mapping) and "ledger_sequence" in chain and found["index"] is not None:
        lines.append("another process is indexing: the index is behind the chain, and was not compared")
    else:
        lines.append("nothing to compare")
    return lines


def run_rebuild(context: typer.Context) -> None:
    """Discard the index and build it again from the chain. Outbox, identifiers and documents are kept."""
    with open_context(context.obj) as opened:
        progress = Follower(opened.chain(), opened.store).rebuild()
        opened.store.analyse()
    print_lines(f"{progress.records} records, up to block {progress.block_number}")
