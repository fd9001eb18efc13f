"""Writes merkle.json, claims.json and subjects.json beside this file: `python tests/vectors/make_vectors.py`.

identifiers.json is written by hand: what a spelling must become is a decision, not a result. To add a case there, give
it a sentence, the input, and either `canonical` or `refused: true`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from millmark.ledger.claims import build_claims
from millmark.ledger.ids import SubjectKind, canonical_identifier, identifier_hash, subject
from millmark.ledger.merkle import EMPTY_ROOT, Tree, leaf_hash

HERE = Path(__file__).parent
Case = dict[str, Any]


def main() -> None:
    """Write all three files."""
    for name, cases in (("merkle", merkle()), ("claims", claims()), ("subjects", subjects())):
        (HERE / f"{name}.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def merkle() -> list[Case]:
    """Proofs over leaves that are the bytes 0, 1, 2, ...; each refusal is a good proof with one thing changed."""
    tree = Tree(leaf_hash(bytes([number])) for number in range(13))
    cases = []
    for index, size in ((0, 1), (0, 2), (3, 7), (6, 7), (12, 13)):
        good = _inclusion(tree, index, size)
        cases.append({"says": f"leaf {index} is in the tree of {size}", "holds": True, **good})
        cases += [{"holds": False, **good, **change} for change in _inclusion_changes(good)]
    for first, second in ((1, 2), (3, 7), (4, 8), (6, 13), (13, 13)):
        good = _consistency(tree, first, second)
        cases.append({"says": f"size {second} extends size {first}", "holds": True, **good})
        cases += [{"holds": False, **good, **change} for change in _consistency_changes(good)]
    return cases


def _inclusion(tree: Tree, index: int, size: int) -> Case:
    return {
        "kind": "inclusion",
        "leaf_hash": leaf_hash(bytes([index])).hex(),
        "index": index,
        "size": size,
        "proof": _hex(tree.inclusion_proof(index, size)),
        "root": tree.root(size).hex(),
    }


def _inclusion_changes(good: Case) -> list[Case]:
    proof, zero = good["proof"], "00" * 32
    changes = [
        {"says": "index equal to the size", "index": good["size"]},
        {"says": "negative index", "index": -1},
        {"says": "size zero", "size": 0, "index": 0},
        {"says": "one element too many", "proof": [*proof, zero]},
        {"says": "another root", "root": zero},
        {"says": "another leaf", "leaf_hash": zero},
        {"says": "empty leaf hash", "leaf_hash": ""},
        {"says": "empty root", "root": ""},
        {"says": "a root one byte short", "root": good["root"][2:]},
    ]
    if proof:
        changes += [
            {"says": "one element too few", "proof": proof[:-1]},
            {"says": "an element changed", "proof": [zero, *proof[1:]]},
            {"says": "an element emptied", "proof": ["", *proof[1:]]},
            {"says": "the neighbour's index", "index": good["index"] ^ 1},
        ]
    return changes


def _consistency(tree: Tree, first: int, second: int) -> Case:
    return {
        "kind": "consistency",
        "first_size": first,
        "second_size": second,
        "proof": _hex(tree.consistency_proof(first, second)),
        "first_root": tree.root(first).hex(),
        "second_root": tree.root(second).hex(),
    }


def _consistency_changes(good: Case) -> list[Case]:
    proof, zero = good["proof"], "00" * 32
    changes = [
        {"says": "first size zero", "first_size": 0, "first_root": EMPTY_ROOT.hex(), "proof": []},
        {"says": "second size below the first", "second_size": good["first_size"] - 1},
        {"says": "one element too many", "proof": [*proof, zero]},
        {"says": "another first root", "first_root": zero},
        {"says": "another second root", "second_root": zero},
        {"says": "empty roots", "first_root": "", "second_root": ""},
    ]
    if proof:
        changes += [
            {"says": "one element too few", "proof": proof[:-1]},
            {"says": "no proof", "proof": []},
            {"says": "an element changed", "proof": [zero, *proof[1:]]},
            {"says": "roots exchanged", "first_root": good["second_root"], "second_root": good["first_root"]},
        ]
    return changes


def claims() -> list[Case]:
    """Roots and disclosures with the salts 00..00, 00..01, and so on, in ascending order of paths."""
    documents: list[tuple[str, Any, list[list[str | int]]]] = [
        ("the empty document", {}, [[]]),
        ("one field, hidden", {"a": 1}, []),
        ("an array is not an object with number keys", {"a": [1], "b": {"0": 1}}, [["a", 0]]),
        ("keys in the order of UTF-16, not of code points", {"\U00010000": 1, "\uffff": 2, "": 3}, [["\uffff"]]),
        ("empty containers, null and numbers", {"x": [[], {}, None, True, -0.0, 1e-7, "é"]}, [["x", 2], ["x", 5]]),
        ("a container discloses all in it", {"heat": {"C": 0.21, "Mn": 1.3}, "price": "17.50"}, [["heat"]]),
    ]
    cases = []
    for says, document, paths in documents:
        numbers = iter(range(1000))
        built = build_claims(document, salt=lambda numbers=numbers: next(numbers).to_bytes(32, "big"))  # type: ignore[misc]
        disclosure = built.disclose(paths).to_json()
        cases.append(
            {"says": says, "holds": True, "document": document, "root": built.root.hex(), "disclosure": disclosure}
        )
    last = cases[-1]
    changes = _disclosure_changes(last["disclosure"])
    cases += [
        {"says": says, "holds": False, "root": last["root"], "disclosure": {**last["disclosure"], **change}}
        for says, change in changes
    ]
    return cases


def _disclosure_changes(good: Case) -> list[tuple[str, Case]]:
    """What would make a good disclosure a lie, or readable in two ways."""
    paths, shown, proof = good["paths"], good["shown"], good["proof"]
    carbon, manganese = shown
    return [
        ("a value changed", {"shown": [{**carbon, "value": 0.12}, manganese]}),
        ("a number given as text", {"shown": [{**carbon, "value": "0.21"}, manganese]}),
        ("a salt changed", {"shown": [{**carbon, "salt": "ff" * 32}, manganese]}),
        ("a short salt", {"shown": [{**carbon, "salt": "ff" * 31}, manganese]}),
        ("upper-case digits", {"proof": [element.upper() for element in proof]}),
        ("two values exchanged", {"shown": [{**carbon, "at": 1}, {**manganese, "at": 0}]}),
        ("a field shown twice", {"shown": [carbon, carbon, manganese]}),
        ("a position beyond the paths", {"shown": [carbon, manganese, {**manganese, "at": 3}]}),
        ("a position that is true", {"shown": [carbon, {**manganese, "at": True}]}),
        ("a container as value", {"shown": [{**carbon, "value": [0.21]}, manganese]}),
        ("a key renamed", {"paths": [["heat", "C"], ["heat", "Mo"], ["price"]]}),
        ("a path left out", {"paths": paths[:2], "proof": []}),
        ("paths in another order", {"paths": paths[::-1]}),
        ("a path twice", {"paths": [paths[0], *paths]}),
        ("a path below a value", {"paths": [["heat"], *paths]}),
        ("an object that is an array too", {"paths": [["heat", 0], *paths]}),
        ("an array that begins at 1", {"paths": [["a", 1], *paths]}),
        ("a path with a fraction", {"paths": [["a", 0.0], *paths]}),
        ("no paths", {"paths": [], "shown": []}),
        ("no proof", {"proof": []}),
        ("a proof with an element too many", {"proof": [*proof, "00" * 32]}),
        ("an unknown version", {"version": 2}),
        ("an unknown member", {"comment": ""}),
    ]


def subjects() -> list[Case]:
    """Hashes and on-chain names of a few identifiers under fixed salts."""
    given = [
        (SubjectKind.ORDER, 1, "urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "00" * 32),
        (SubjectKind.LOT, 7, "https://example.com/01/04012345123456/21/A%2fb", "11" * 32),
        (SubjectKind.MACHINE, 2**32 - 1, "urn:epc:id:giai:4012345.M7", "ff" * 32),
    ]
    cases = []
    for kind, creator, identifier, salt in given:
        hashed = identifier_hash(bytes.fromhex(salt), identifier)
        cases.append(
            {
                "kind": int(kind),
                "creator": creator,
                "identifier": identifier,
                "canonical": canonical_identifier(identifier),
                "salt": salt,
                "identifier_hash": hashed.hex(),
                "subject": subject(kind, creator, hashed).hex(),
            }
        )
    return cases


def _hex(hashes: list[bytes]) -> list[str]:
    return [element.hex() for element in hashes]


if __name__ == "__main__":
    main()
