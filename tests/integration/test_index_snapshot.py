"""A snapshot of an index makes another one, on either database, and a forged one is refused with its reason."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import Chain, Node, RpcError, Transport
from millmark.ledger.errors import ChainUnreachableError, InputError, MillmarkError, StoreError, WrongChainError
from millmark.ledger.index import Follower, compare_rows, export_index, fetch_status, import_index, read_snapshot
from millmark.ledger.index.snapshot import Snapshot
from millmark.ledger.index.writer import extend_digest, start_digest
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import IdentityRow, RecordRow
from tests.proofs.growth import Plant
from tests.support import cluster
from tests.support.bundle_world import copy_bundle_world
from tests.support.fake_ledger import FakeChain
from tests.support.ledger_world import build_world
from tests.support.stores import new_store, on_cluster, prepare_cluster

pytestmark = pytest.mark.integration

Line = Any


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chain, Store, Path]]:
    """A chain with every kind of record, its index with the company's names, and a snapshot of it."""
    folder = tmp_path_factory.mktemp("indexed")
    with new_store(folder) as store:
        world, _ = copy_bundle_world(store)
        Follower(world.consortium.chain, store).follow()
        export_index(store, folder / "index.gz")
        yield world.consortium.chain, store, folder / "index.gz"


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as stack:
        if request.param == "PostgreSQL":
            if (missing := cluster.describe_missing()) is not None:
                pytest.skip(missing)
            url = stack.enter_context(cluster.running_cluster())
            prepare_cluster(url)
            stack.enter_context(on_cluster(url))
        yield stack.enter_context(new_store(tmp_path))


def test_an_imported_index_is_that_which_follows_from_the_chain(
    indexed: tuple[Chain, Store, Path], empty: Store
) -> None:
    chain, store, path = indexed
    found = import_index(empty, chain, read_snapshot(path))
    status = fetch_status(store)
    assert status is not None
    assert found.blocks > 10
    assert found.heads > 10
    compared = compare_rows(empty, store, status.block_number)
    assert (compared.findings, compared.records) == ([], found.records)
    assert Follower(chain, empty).follow().records == 0, "it goes on where the file ends"
    with empty.reading() as connection:
        assert not list(Rows(connection).scan(IdentityRow)), "names stay where they are"
    with pytest.raises(StoreError, match="has an index already"):
        import_index(empty, chain, read_snapshot(path))


def test_no_name_and_no_salt_is_in_a_snapshot(tmp_path: Path) -> None:
    plant = Plant()
    plant.make()
    identities = list(plant.fake.identities.values())
    with new_store(tmp_path) as store:
        with store.transaction() as connection:
            for identity in identities:
                Book(connection).add_identity(identity)
            Book(connection).put_document(bytes(32), '{"price":"canary"}')
        plant.make()
        Follower(plant.fake.chain, store).follow()
        export_index(store, tmp_path / "index.gz")
    content = gzip.decompress((tmp_path / "index.gz").read_bytes())
    assert base64.b64encode(identities[-1].subject) in content, "what is on the chain is there"
    for text in (b"urn:", b"canary", *(base64.b64encode(one.salt)[:-2] for one in identities)):
        assert text not in content


def test_a_digest_that_is_trusted_stands_for_the_blocks(indexed: tuple[Chain, Store, Path], tmp_path: Path) -> None:
    chain, store, path = indexed
    status = fetch_status(store)
    assert status is not None
    with new_store(tmp_path) as target:
        with pytest.raises(InputError, match="not the one that you gave"):
            import_index(target, chain, read_snapshot(path), sha256(b""))
        assert _is_empty(target)
        found = import_index(target, chain, read_snapshot(path), status.digest)
        assert (found.blocks, found.digest) == (0, status.digest)
        assert compare_rows(target, store, status.block_number).findings == []


def _is_empty(store: Store) -> bool:
    with store.reading() as connection:
        return next(Rows(connection).scan(RecordRow), None) is None


def _flip(text: str) -> str:
    """Another value of the same length."""
    raw = bytearray(base64.b64decode(text))
    raw[-1] ^= 1
    return base64.b64encode(bytes(raw)).decode()


def _of_block(place: int, value: Callable[[Line], object]) -> Callable[[list[Line]], None]:
    def forge(lines: list[Line]) -> None:
        block = lines[len(lines) // 2]
        block[place] = value(block[place])

    return forge


def _of_record(place: int, value: Callable[[Line], object]) -> Callable[[list[Line]], None]:
    return _of_block(
        4, lambda records: [[*records[0][:place], value(records[0][place]), *records[0][place + 1 :]], *records[1:]]
    )


FORGERIES: dict[str, tuple[Callable[[list[Line]], None], str]] = {
    "another time of a block": (_of_block(3, lambda time: time + 1), "is another one on the chain"),
    "another hash of a block": (_of_block(1, _flip), "is another one on the chain"),
    "another parent of a block": (_of_block(2, _flip), "is another one on the chain"),
    "another participant": (_of_record(3, lambda number: number + 1), "has other records"),
    "another subject": (_of_record(4, _flip), "has other records"),
    "another transaction": (_of_record(5, _flip), "has other records"),
    "another place in the block": (_of_record(6, lambda place: place + 1_000), "order|has other records"),
    "other content": (_of_record(7, _flip), "malformed|has other records"),
    "another kind": (_of_record(2, _flip), "unknown kind"),
    "a record without its block's others": (lambda lines: lines[-2][4].pop(), "has other records|without records"),
    "the last block left out": (lambda lines: lines.pop(-2), "records on the chain"),
    "a block in between left out": (lambda lines: lines.pop(len(lines) // 2), "is out of order"),
    "a block twice": (lambda lines: lines.insert(3, lines[2]), "is out of order"),
    "an end ahead of the chain": (lambda lines: lines[-1].update(block_number=10**6), "is not final"),
    "an end on another branch": (
        lambda lines: lines[-1].update(block_hash=_flip(lines[-1]["block_hash"])),
        "where it ends, is another one",
    ),
    "no end": (lambda lines: lines.pop(), "its end is missing"),
    "a line of another form": (lambda lines: lines[2].append(1), "not what it should be"),
    "a number that is text": (lambda lines: lines[2].__setitem__(0, "2"), "not what it should be"),
    "another version": (lambda lines: lines[0].update(version=2), "has format"),
    "another chain": (lambda lines: lines[0].update(chain_id=7), "follows chain 7"),
    "another ledger": (lambda lines: lines[0].update(ledger=_flip(lines[0]["ledger"])), "follows the ledger at"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_snapshot_is_refused_and_leaves_nothing(
    name: str, indexed: tuple[Chain, Store, Path], tmp_path: Path
) -> None:
    """Its digest is made to match: whoever forges the one writes the other."""
    chain, _, path = indexed
    forge, reason = FORGERIES[name]
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    forge(lines)
    forged = tmp_path / "forged.gz"
    _write(forged, lines)
    if "digest" in lines[-1] and (digest := _digest(forged)) is not None:
        lines[-1].update(digest=base64.b64encode(digest[0]).decode(), **digest[1])
        _write(forged, lines)
    with new_store(tmp_path) as target:
        with pytest.raises(MillmarkError, match=reason) as refused:
            import_index(target, chain, read_snapshot(forged))
        assert "\n" not in str(refused.value)
        assert _is_empty(target)


def _write(path: Path, lines: list[Line]) -> None:
    path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines)))


def _digest(path: Path) -> tuple[bytes, dict[str, int]] | None:
    """The digest and numbers of records that fit a file's records; None if those cannot be read."""
    try:
        snapshot = read_snapshot(path)
        digest, counts = start_digest(snapshot.start.identity()), {"registry_sequence": 0, "ledger_sequence": 0}
        for block in snapshot.blocks(lambda _: None):
            for record in block.records:
                digest = extend_digest(digest, record.contract, record)
                counts[f"{record.contract.value}_sequence"] += 1
    except InputError:
        return None
    return digest, counts


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"no json\n", mtime=0), gzip.compress(b"{}\n", mtime=0)],
    ids=["empty", "no gzip", "no JSON", "no member"],  # the same in each worker, whenever it collects
)
def test_what_is_no_snapshot_is_named_so(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "index.gz").write_bytes(content)
    with pytest.raises(InputError, match="is not a snapshot of an index"):
        read_snapshot(tmp_path / "index.gz")


def test_a_file_that_is_cut_off_is_refused(indexed: tuple[Chain, Store, Path], tmp_path: Path) -> None:
    chain, _, path = indexed
    (tmp_path / "index.gz").write_bytes(path.read_bytes()[:-100])
    with new_store(tmp_path) as target:
        with pytest.raises(InputError, match="cut off"):
            import_index(target, chain, read_snapshot(tmp_path / "index.gz"))
        assert _is_empty(target)


def test_a_file_that_is_exchanged_while_it_is_imported_is_refused(
    indexed: tuple[Chain, Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pass writes only what the first one has checked."""
    chain, _, path = indexed
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    FORGERIES["another participant"][0](lines)
    read = [path, tmp_path / "other.gz"]
    _write(read[1], lines)
    blocks = Snapshot.blocks
    monkeypatch.setattr(Snapshot, "blocks", lambda self, ended: blocks(Snapshot(read.pop(0), self.start), ended))
    with new_store(tmp_path) as target:
        with pytest.raises(InputError, match="was changed while it was imported"):
            import_index(target, chain, read_snapshot(path))
        assert _is_empty(target)


def test_a_crash_between_batches_leaves_an_index_that_is_followed_on(
    indexed: tuple[Chain, Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, store, path = indexed
    monkeypatch.setattr("millmark.ledger.index.snapshot._BATCH_RECORDS", 20)
    commit, commits = Follower._commit, list[int]()

    def crash(self: Follower, *values: Any, **named: Any) -> Any:
        commits.append(1)
        if len(commits) == 3:
            raise KeyboardInterrupt
        return commit(self, *values, **named)

    with new_store(tmp_path) as target:
        monkeypatch.setattr(Follower, "_commit", crash)
        with pytest.raises(KeyboardInterrupt):
            import_index(target, chain, read_snapshot(path))
        monkeypatch.setattr(Follower, "_commit", commit)
        Follower(chain, target).follow()
        status = fetch_status(store)
        assert status is not None
        assert compare_rows(target, store, status.block_number).findings == []


def test_only_final_blocks_are_exported(tmp_path: Path) -> None:
    plant = Plant()
    for _ in range(8):
        plant.make()
    chain = plant.fake.chain
    chain.finality_depth = 2
    with new_store(tmp_path) as store, new_store(tmp_path, "final.db") as final:
        Follower(chain, store).follow()
        end = export_index(store, tmp_path / "index.gz")
        Follower(_cut(chain), final).follow()
        status = fetch_status(final)
    assert status is not None
    assert (end.block_number, end.digest) == (chain.head_number() - 2, status.digest)
    assert (end.block_hash, end.block_time) == (status.block_hash, status.block_time)


def _cut(chain: FakeChain) -> FakeChain:
    return FakeChain(headers=chain.headers[:-2], records=chain.records[:-2])


def test_a_file_that_exists_is_not_overwritten(indexed: tuple[Chain, Store, Path]) -> None:
    with pytest.raises(InputError, match="cannot be written: File exists"):
        export_index(indexed[1], indexed[2])


def test_a_snapshot_of_another_chain_is_refused(indexed: tuple[Chain, Store, Path], tmp_path: Path) -> None:
    plant = Plant()
    with new_store(tmp_path) as store, new_store(tmp_path, "target.db") as target:
        Follower(plant.fake.chain, store).follow()
        export_index(store, tmp_path / "index.gz")
        with pytest.raises(WrongChainError, match="the snapshot follows chain 1234"):
            import_index(target, indexed[0], read_snapshot(tmp_path / "index.gz"))


class _Pruned:
    """A node that keeps the state of its latest block alone, and says so as geth does."""

    def __init__(self, node: Transport) -> None:
        self._node = node
        self.proves = True

    def request(self, method: str, params: list[Any]) -> Any:
        latest = self._node.request("eth_blockNumber", [])
        if method == "eth_getProof" and (params[2] != latest or not self.proves):
            raise RpcError(-32000, "missing trie node 5f (path ) state 0x5f is not available, not found")
        return self._node.request(method, params)


@pytest.fixture
def pruned(tmp_path: Path) -> tuple[Chain, _Pruned, Path]:
    """A chain whose node lacks the state at the end of a snapshot, after which more records were made."""
    world = build_world()
    with new_store(tmp_path, "source.db") as store:
        outbox = Outbox(store)
        submitter = world.submitter(outbox, world.admit(outbox))
        for _ in range(2):
            submitter.submit(world.lots(3))
            submitter.drain()
        Follower(world.chain, store).follow()
        export_index(store, tmp_path / "index.gz")
        submitter.submit(world.lots(2))
        submitter.drain()
    node = _Pruned(world.line.node)
    return Chain(Node(node), world.chain.profile, world.chain.deployment), node, tmp_path / "index.gz"


def test_a_node_without_the_state_at_the_end_shows_by_a_later_one_that_nothing_is_missing(
    pruned: tuple[Chain, _Pruned, Path], tmp_path: Path
) -> None:
    chain, _, path = pruned
    with new_store(tmp_path) as target:
        found = import_index(target, chain, read_snapshot(path))
        assert found.heads > 5
        assert found.block_number < found.compared_at == chain.final_number()
        assert Follower(chain, target).follow().records == 2


def test_a_block_left_out_is_noticed_without_the_state_at_the_end(
    pruned: tuple[Chain, _Pruned, Path], tmp_path: Path
) -> None:
    """The last one with records: no gap in the file shows it, and what comes after it is not in the file."""
    chain, _, path = pruned
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    lines.pop(-2)
    _write(path, lines)
    digest = _digest(path)
    assert digest is not None
    lines[-1].update(digest=base64.b64encode(digest[0]).decode(), **digest[1])
    _write(path, lines)
    with new_store(tmp_path) as target:
        with pytest.raises(InputError, match="is out of order"):
            import_index(target, chain, read_snapshot(path))
        assert _is_empty(target)


def test_a_node_that_proves_nothing_needs_a_digest_that_is_trusted(
    pruned: tuple[Chain, _Pruned, Path], tmp_path: Path
) -> None:
    chain, node, path = pruned
    node.proves = False
    end = json.loads(gzip.decompress(path.read_bytes()).splitlines()[-1])
    with new_store(tmp_path) as target:
        with pytest.raises(ChainUnreachableError, match=r"cannot be shown: .* missing trie node .*--digest"):
            import_index(target, chain, read_snapshot(path))
        assert _is_empty(target)
        found = import_index(target, chain, read_snapshot(path), base64.b64decode(end["digest"]))
        assert (found.heads, found.compared_at) == (0, found.block_number)
