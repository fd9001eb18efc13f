"""A second verifier for one path, written from BUNDLE, CLAIMS, SEALS and TRUST alone, importing nothing of `ledger`.

For every part of the vector: the header is the trust file's checkpoint or leads to it, the ledger's account and code
are in its state, the heads are in the ledger's storage, the records give them, the lists hold what records name and no
more, and the shown fields of documents are those that records commit to. The document's own tables (signatures,
members, slots) are read from it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coincurve
import pytest
import sha3  # type: ignore[import-untyped]  # safe-pysha3 ships no types

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "ledger" / "BUNDLE.md").read_text(encoding="utf-8")
VECTOR = ROOT / "tests" / "vectors" / "bundle"


def k(data: bytes) -> bytes:
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def jcs(value: object) -> bytes:
    """RFC 8785 for what the vector holds: no floats, no keys beyond the basic plane."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def topics() -> dict[str, bytes]:
    found = re.findall(r"^    ((\w+)\(.*\))$", DOCUMENT, re.MULTILINE)
    return {name: k(signature.encode()) for signature, name in found}


def slot_of(what: str) -> int:
    """The mapping's number in the table of the section "State"."""
    [row] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| {what} |")]
    [number] = re.findall(r"word\((\d+)\)", row)
    return int(number)


# RLP and the trie (yellow paper, appendices B and D)


def rlp(data: bytes) -> Any:
    item, rest = take_item(data)
    assert rest == b""
    return item


def take_item(data: bytes) -> tuple[Any, bytes]:
    first = data[0]
    if first < 0x80:
        return data[:1], data[1:]
    short, is_list = (first - 0x80, False) if first < 0xC0 else (first - 0xC0, True)
    if short <= 55:
        start, size = 1, short
    else:
        start = 1 + short - 55
        size = int.from_bytes(data[1:start], "big")
    body, rest = data[start : start + size], data[start + size :]
    assert len(body) == size
    return (list(take_items(body)) if is_list else body), rest


def take_items(body: bytes) -> Iterator[Any]:
    while body:
        item, body = take_item(body)
        yield item


def look_up(nodes: dict[bytes, bytes], root: bytes, key: bytes) -> bytes:
    path, reference = k(key).hex(), root
    while True:
        node = rlp(nodes[reference]) if isinstance(reference, bytes) else reference
        if len(node) == 17:
            reference, path = node[int(path[0], 16)], path[1:]
            continue
        prefix = node[0].hex()
        part = prefix[1:] if prefix[0] in "13" else prefix[2:]
        assert path.startswith(part)
        path, reference = path[len(part) :], node[1]
        if prefix[0] in "23":
            assert path == ""
            value: bytes = reference
            return value


# The file


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    data = (VECTOR / "part.bundle").read_bytes()
    value: dict[str, Any] = json.loads(data)
    assert jcs(value) == data
    assert value["bundle_version"] == 1
    return value


@pytest.fixture(scope="module")
def trust() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((VECTOR / "trust.json").read_bytes())
    return value


def test_the_block_is_believed(bundle: dict[str, Any], trust: dict[str, Any]) -> None:
    assert bundle["chain_id"] == trust["chain_id"]
    headers = [unbase64(header) for header in bundle["headers"]]
    for parent, child in itertools.pairwise(headers):
        assert rlp(child)[0] == k(parent)
    assert k(headers[-1]) == unhex(trust["checkpoint"]["block_hash"])
    assert int.from_bytes(rlp(headers[-1])[8], "big") == trust["checkpoint"]["block_number"]


def storage_root(bundle: dict[str, Any], trust: dict[str, Any], name: str) -> bytes:
    contract = trust["contracts"][name]
    state_root = rlp(unbase64(bundle["headers"][0]))[3]
    _, _, root, code_hash = rlp(look_up(nodes_of(bundle), state_root, unhex(contract["address"])))
    assert code_hash == unhex(contract["code_hash"])
    found: bytes = root
    return found


def nodes_of(bundle: dict[str, Any]) -> dict[bytes, bytes]:
    return {k(node): node for node in map(unbase64, bundle["nodes"])}


def head_of(bundle: dict[str, Any], history: dict[str, Any]) -> bytes:
    subject = unbase64(history["subject"])
    records = {record[1]: record for record in bundle["records"]}
    head = k(
        k(b"millmark.history.v1")
        + word(bundle["chain_id"])
        + unbase64(bundle["ledger"]).rjust(32, b"\0")
        + unbase64(bundle["ledger_id"])
        + subject
    )
    for link in history["records"]:
        if isinstance(link, list):
            kind, inner = link[0], unbase64(link[1])
        else:
            kind, sequence, participant, time, text = records[link]
            data = unbase64(text)
            inner = k(word(sequence) + word(participant) + data[:32] + k(data) + word(time))
        head = k(head + topics()[kind] + inner)
    return head


def test_the_records_of_every_history_give_the_head_in_storage(bundle: dict[str, Any], trust: dict[str, Any]) -> None:
    assert unbase64(bundle["ledger"]) == unhex(trust["contracts"]["TraceLedger"]["address"])
    assert unbase64(bundle["ledger_id"]) == unhex(trust["ledger_id"])
    root, nodes = storage_root(bundle, trust, "TraceLedger"), nodes_of(bundle)
    for history in bundle["histories"]:
        slot = k(unbase64(history["subject"]) + word(slot_of("head of a subject")))
        assert rlp(look_up(nodes, root, slot)) == head_of(bundle, history).lstrip(b"\0")


def to_rlp(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else length_of(item, 0x80) + item
    body = b"".join(map(to_rlp, item))
    return length_of(body, 0xC0) + body


def length_of(body: bytes, base: int) -> bytes:
    if len(body) <= 55:
        return bytes([base + len(body)])
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(size)]) + size


def test_a_quorum_of_the_listed_validators_sealed_the_last_header(bundle: dict[str, Any]) -> None:
    """SEALS.md, with the trust file that lists validators."""
    believed = json.loads((VECTOR / "sealed.json").read_bytes())["checkpoint"]["validators"]
    header = rlp(unbase64(bundle["headers"][-1]))
    at = 12  # extraData
    vanity, validators, vote, _, _ = rlp(header[at])
    assert validators == sorted(unhex(one["address"].lower()) for one in believed)
    number = bundle["seals"]["round"]
    committed = number.to_bytes((number.bit_length() + 7) // 8, "big")
    digest = k(to_rlp([*header[:at], to_rlp([vanity, validators, vote, committed, []]), *header[at + 1 :]]))
    signers = []
    for seal in map(unbase64, bundle["seals"]["seals"]):
        key = coincurve.PublicKey.from_signature_and_message(seal, digest, hasher=None)
        signers.append(k(key.format(compressed=False)[1:])[-20:])
    assert len(signers) == -(-2 * len(validators) // 3)
    assert signers == sorted(set(signers))
    assert set(signers) <= set(validators)


def test_one_changed_record_gives_another_head(bundle: dict[str, Any], trust: dict[str, Any]) -> None:
    root, nodes = storage_root(bundle, trust, "TraceLedger"), nodes_of(bundle)
    history = bundle["histories"][0]
    slot = k(unbase64(history["subject"]) + word(slot_of("head of a subject")))
    shorter = {**history, "records": history["records"][:-1]}
    assert rlp(look_up(nodes, root, slot)) != head_of(bundle, shorter).lstrip(b"\0")


def test_every_key_is_its_participants(bundle: dict[str, Any], trust: dict[str, Any]) -> None:
    root, nodes = storage_root(bundle, trust, "Registry"), nodes_of(bundle)
    for kind, _, participant, _, text in bundle["records"]:
        if participant == 0:
            assert kind == "NoteRecorded", "only a note is the registry's owner's"
            continue
        key = unbase64(text)[:32]
        slot = k(key + word(slot_of("key")))
        packed = int.from_bytes(rlp(look_up(nodes, root, slot)), "big")
        assert packed & (2**32 - 1) == participant, kind


def test_every_part_is_what_its_identifier_says(bundle: dict[str, Any]) -> None:
    """IDENTIFIERS.md, "On the ledger"."""
    kinds = {"order": 1, "lot": 2, "stream": 3, "machine": 4}
    named = set()
    for identity in bundle["identities"]:
        gamma = unbase64(identity["proofs"][-1])[33:66]
        hashed = sha256(sha256(b"\xfe\x03" + gamma + b"\0") + identity["identifier"].encode())
        named.add(k(word(kinds[identity["kind"]]) + word(identity["creator"]) + hashed))
    assert set(map(unbase64, bundle["parts"])) <= named


def test_every_name_key_is_the_registered_one(bundle: dict[str, Any], trust: dict[str, Any]) -> None:
    root, nodes = storage_root(bundle, trust, "Registry"), nodes_of(bundle)
    for identity in bundle["identities"]:
        for index, proof in enumerate(map(unbase64, identity["proofs"])):
            slot = k(word(index) + k(word(identity["creator"]) + word(slot_of("name key"))))
            assert rlp(look_up(nodes, root, slot)) == sha256(proof[:33])


# Data of records (sections "Data of a record" and "What belongs in it")


def members_of(title: str) -> dict[str, list[str]]:
    """A table that names members in order, by kind or struct; several kinds may share a row."""
    rows = DOCUMENT.split(f"| {title} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    plain = [(names, re.sub(r" \([^)]*\)", "", members)) for names, members in cells]
    return {name: members.split(", ") if members else [] for names, members in plain for name in names.split(", ")}


def types_of(signature: str) -> list[Any]:
    """Types of the data: a list for a struct, a pair of a type and "[]" for an array."""
    text = re.sub(r"(\w+)", r"'\1'", signature)
    text = re.sub(r"('\w+'|\))\[\]", r"\1,'[]'", text).replace("(", "[").replace(")", "]")
    found: list[Any] = json.loads(text.replace("'", '"'))
    return found


def take(kinds: list[Any], data: bytes) -> list[Any]:
    """Decodes by offsets, as any ABI decoder does."""
    values: list[Any] = []
    place = at = 0
    while place < len(kinds):
        kind, is_array = kinds[place], kinds[place + 1 : place + 2] == ["[]"]
        place += 2 if is_array else 1
        here = data[at : at + 32]
        if is_array:
            start = int.from_bytes(here, "big")
            count = int.from_bytes(data[start : start + 32], "big")
            values.append(take_static([kind] * count, data[start + 32 :]))
        elif isinstance(kind, list) and "[]" in kind:
            values.append(take(kind, data[int.from_bytes(here, "big") :]))
        else:
            values += take_static([kind], data[at:])
            at += 32 * width(kind)
            continue
        at += 32
    return values


def take_static(kinds: list[Any], data: bytes) -> list[Any]:
    values: list[Any] = []
    for kind in kinds:
        size = 32 * width(kind)
        values.append(take_static(kind, data) if isinstance(kind, list) else data[:32])
        data = data[size:]
    return values


def width(kind: Any) -> int:
    return sum(map(width, kind)) if isinstance(kind, list) else 1


def named(record: list[Any]) -> dict[str, Any]:
    """Members of a record by the document's names; those of its struct among them."""
    [signature] = re.findall(rf"^    {record[0]}(\(.*\))$", DOCUMENT, re.MULTILINE)
    values = take(types_of(signature)[3:], unbase64(record[4]))
    found = dict(zip(["key", "histories", *members_of("kind | data")[record[0]]], values, strict=True))
    for name, members in members_of("struct | members").items():
        if name in found:
            found.update(zip(members, found[name], strict=True))
    return found


def test_the_lists_hold_what_the_records_name_and_no_more(bundle: dict[str, Any], trust: dict[str, Any]) -> None:
    asked: dict[str, set[Any]] = {name: set() for name in ("participants", "keys", "machines", "models", "streams")}
    root, nodes = storage_root(bundle, trust, "TraceLedger"), nodes_of(bundle)
    for record in bundle["records"]:
        kind, fields = record[0], named(record)
        if record[2] != 0:  # of the registry's owner, nothing is proved
            asked["participants"].add(record[2])
            asked["keys"].add(fields["key"][12:])
        for name in ("coordinator", "owner", "to", "from", "inspector", "awaited"):
            asked["participants"] |= {number(fields[name])} - {0} if name in fields else set()
        asked["machines"] |= {number(fields["machine"])} if "machine" in fields else set()
        asked["models"] |= {number(fields["model"])} - {0} if "model" in fields else set()
        for inspector, model in gates_in(fields.get("gates", b"")):
            asked["participants"].add(inspector)
            asked["models"] |= {model} - {0}
        if kind in ("CertificateIssued", "AssignmentFinished"):
            asked["streams"].add(fields["stream"])
            slot = k(fields["stream"] + word(slot_of("stream")))
            packed = number(rlp(look_up(nodes, root, slot)))
            asked["machines"].add(packed >> 40 & (2**40 - 1))
    for name, found in asked.items():
        listed = bundle[name] if name in ("participants", "machines", "models") else map(unbase64, bundle[name])
        assert set(listed) == found, name


def gates_in(word: bytes) -> Iterator[tuple[int, int]]:
    """Inspector and model of each gate, from the lowest bits up."""
    bits = number(word)
    while bits:
        yield bits & (2**32 - 1), bits >> 32 & (2**40 - 1)
        bits >>= 72


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


# Claims (CLAIMS.md)


def leaves(disclosure: dict[str, Any]) -> dict[int, bytes]:
    found = {0: sha256(b"\0" + b"millmark.claims-paths.v1\0" + jcs(disclosure["paths"]))}
    for shown in disclosure["shown"]:
        content = jcs([disclosure["paths"][shown["at"]], shown["value"]])
        leaf = b"millmark.claims-field.v1\0" + unhex(shown["salt"]) + content
        found[shown["at"] + 1] = sha256(b"\0" + leaf)
    return found


def fold(known: dict[int, bytes], proof: list[bytes], low: int, high: int) -> bytes:
    """Consumes the proof from the left, as the document walks the tree."""
    if not any(low <= leaf < high for leaf in known):
        return proof.pop(0)
    if high - low == 1:
        return known[low]
    half = 1
    while half * 2 < high - low:
        half *= 2
    left = fold(known, proof, low, low + half)
    return sha256(b"\1" + left + fold(known, proof, low + half, high))


def claims_root(disclosure: dict[str, Any]) -> bytes:
    size, proof = len(disclosure["paths"]) + 1, list(map(unhex, disclosure["proof"]))
    head = fold(leaves(disclosure), proof, 0, size)
    assert proof == []
    return sha256(b"millmark.claims-root.v1\0" + size.to_bytes(8, "big") + head)


def test_a_disclosed_document_is_the_one_that_its_record_names(bundle: dict[str, Any]) -> None:
    """Of receipts, whose data are short: key, offset of the histories, quantity, unit, claims root, histories."""
    receipts = {record[1]: unbase64(record[4]) for record in bundle["records"] if record[0] == "LotReceived"}
    judged = 0
    for claims in bundle["claims"]:
        if claims["record"] in receipts and claims["root"] == 0:
            committed = receipts[claims["record"]][4 * 32 : 5 * 32]
            assert claims_root(claims["disclosure"]) == committed
            claims["disclosure"]["shown"][0]["value"] = "another"
            assert claims_root(claims["disclosure"]) != committed
            judged += 1
    assert judged


def test_this_file_imports_nothing_of_the_library() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert not re.findall(r"^\s*(?:from|import) +(?:ledger|services|quality|tests)\b", source, re.MULTILINE)
