"""Mutates hand-overs and has each judged: `python -m tests.support.handover_mutations`.

Texts are what a stranger on the way could change: nothing of them may be taken. Contents are changed before they are
sealed and signed, as a company that hands over could: nothing of what is not on the ledger may be kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from millmark.ledger.errors import MillmarkError
from millmark.services.handover.content import Envelope, encode_content, encode_envelope, parse_envelope, seal
from millmark.services.handover.delivering import build_content
from tests.proofs.forgeries import mutate
from tests.support.apart import Apart, Home, found_apart
from tests.support.planned import Planned

__all__ = ["Case", "Tally", "main", "run_content_mutations", "run_text_mutations", "tell_story"]


@dataclass
class Tally:
    """What became of the mutations."""

    refused: Counter[str] = field(default_factory=Counter)
    """By the first words of the reason."""
    accepted: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return sum(self.refused.values()) + len(self.accepted)

    def judge(self, taker: Home, data: bytes, what: str) -> None:
        try:
            kept = taker.receiver.import_file(data)
        except MillmarkError as error:
            self.refused[" ".join(error.cause.split()[:4])] += 1
        else:
            self.accepted.append(f"{what}: {kept}")

    def to_json(self) -> dict[str, object]:
        return {
            "tried": self.tried,
            "accepted": len(self.accepted),
            "examples": self.accepted[:20],
            "refused": dict(self.refused.most_common()),
        }


@dataclass(frozen=True)
class Case:
    """A hand-over that is to be mutated."""

    what: str
    giver: Home
    taker: Home
    record: int


def tell_story(folder: Path) -> Iterator[tuple[Apart, Case]]:
    """The companies, and one hand-over after the other: of a lot that is offered, a call, offers for it, and a plan.

    Between two, the one before is handed over as it is.
    """
    apart = found_apart(folder)
    apart.equip()
    order = apart.place()
    apart.hand_over_all()
    apart.assign()
    apart.hand_over_all()
    lot = apart.make()
    maker, parties = apart.world.maker, apart.consortium
    buyer, reader, coordinator = apart.home(parties.buyer), apart.home(parties.auditor), apart.home(parties.coordinator)
    apart.certify()
    offer = apart.offer(lot, maker, parties.buyer, "offer", order)
    apart.follow()
    yield apart, Case("lot", apart.home(maker), buyer, offer)
    planned = Planned(apart)
    planned.equip()
    planned.place()
    apart.hand_over_all()
    planned.make_call()
    apart.follow()
    yield apart, Case("call", coordinator, reader, apart.records["call"])
    owners = {machine: apart.home(planned.owner(machine)) for machine in ("lathe", "mill")}
    for machine, owner in owners.items():
        owner.receiver.import_file(coordinator.seal_now(apart.records["call"], owner.company.number))
        planned.offer(machine, 4000)
    apart.follow()
    yield apart, Case("offers", owners["lathe"], reader, apart.records["offers lathe"])
    for machine, owner in owners.items():
        for taker in (coordinator, *((reader,) if machine == "mill" else ())):
            taker.receiver.import_file(owner.seal_now(apart.records[f"offers {machine}"], taker.company.number))
    planned.make_plan()
    apart.follow()
    yield apart, Case("plan", coordinator, reader, apart.records["plan"])


def run_text_mutations(taker: Home, text: bytes, count: int, seed: int) -> Tally:
    """Changes random bytes of a hand-over as it travels."""
    tally, rng = Tally(), Random(f"{seed} texts")  # noqa: S311 - to be had again, not secret
    head = text.index(b"\n") + 1
    while tally.tried < count:
        number = tally.tried
        # Every other one in the head, which is a fraction of the text and where most is decided.
        changed = mutate(text[:head], rng) + text[head:] if number % 2 else mutate(text, rng)
        if changed != text:
            tally.judge(taker, changed, "text")
    return tally


def run_content_mutations(giver: Home, taker: Home, envelope: Envelope, plain: bytes, count: int, seed: int) -> Tally:
    """Changes random bytes of a content, and seals and signs it as its sender would."""
    tally, rng = Tally(), Random(f"{seed} contents")  # noqa: S311 - as above
    line = plain.index(b"\n") + 1
    while tally.tried < count:
        number = tally.tried
        changed = mutate(plain[:line], rng) + plain[line:] if number % 2 else mutate(plain, rng)
        if changed != plain:
            tally.judge(taker, encode_envelope(seal(envelope.head.route, changed, giver.company.signer)), "content")
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs both on each kind and prints the results. Returns the exit code: 0 if everything was refused."""
    parser = argparse.ArgumentParser(description="Mutate hand-overs and have each judged.")
    parser.add_argument("--texts", type=int, default=90_000)
    parser.add_argument("--contents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    started, found, is_clean = time.monotonic(), dict[str, object](), True
    with tempfile.TemporaryDirectory(prefix="millmark-handovers-") as folder:
        for apart, case in tell_story(Path(folder)):
            # Of each kind a quarter.
            texts, contents, again = _run(apart, case, given.texts // 4, given.contents // 4, given.seed)
            found[case.what] = {"texts": texts.to_json(), "contents": contents.to_json(), "genuine": not again}
            is_clean &= not (texts.accepted or contents.accepted or again)
        apart.close()
    seconds = round(time.monotonic() - started, 1)
    sys.stdout.write(json.dumps({"seconds": seconds, **found}, indent=2) + "\n")
    return 0 if is_clean else 1


def _run(apart: Apart, case: Case, texts: int, contents: int, seed: int) -> tuple[Tally, Tally, bool]:
    """Mutates one hand-over, and then hands it over as it is. Also returns whether that was there already."""
    giver, taker = case.giver, case.taker
    text = giver.seal_now(case.record, taker.company.number)
    numbers = giver.company.number, taker.company.number
    plain = encode_content(build_content(giver.store, apart.consortium.chain, case.record, *numbers, 2**40))
    tried = (
        run_text_mutations(taker, text, texts, seed),
        run_content_mutations(giver, taker, parse_envelope(text), plain, contents, seed),
    )
    return *tried, taker.receiver.import_file(text).again


if __name__ == "__main__":
    sys.exit(main())
