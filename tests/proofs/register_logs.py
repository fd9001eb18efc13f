"""Random register logs of a machine, with what a correct allocation must add up to; many of them for `scripts/prove`.

python -m tests.proofs.register_logs --count 100000 --seed 1
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass

from millmark.ledger.footprint import Moment, Note, Reading, RegisterEntry, allocate, wh_between

__all__ = ["Log", "build_log", "check_log"]

MODULUS_WH = 1_000_000
_MOMENTS = (Moment.START, Moment.FINISH, Moment.READ, Moment.RESET)


@dataclass(frozen=True, slots=True)
class Log:
    readings: list[Reading]
    advance_wh: int
    """What the meter really counted between the first and the last reading, except what was reset unread."""


def build_log(draw: random.Random) -> Log:
    """A machine's readings: operations that overlap, resets read and unread, rollovers, gaps, lost starts and ends."""
    now, shown, advanced = 1_767_225_600, draw.randrange(MODULUS_WH), 0
    readings, running, next_number = [Reading(now, shown)], list[int](), 1
    for _ in range(draw.randrange(1, 30)):
        used = draw.choice((0, draw.randrange(20), draw.randrange(100_000)))
        now += draw.choice((60, 3600, 3600, 40 * 3600)) + used // 1000
        moment = draw.choices(_MOMENTS, (5, 5, 3, 1))[0]
        if moment is Moment.RESET:
            # A reset shows what had been counted, unless nobody looked; and it never passes the highest value.
            before = min(shown + used, MODULUS_WH - 1) if draw.random() < 0.7 else None
            advanced += 0 if before is None else before - shown
            shown = draw.randrange(1000)
            readings.append(Reading(now, shown, moment, before_wh=before))
            continue
        shown, advanced = (shown + used) % MODULUS_WH, advanced + used
        number = 0
        if moment is Moment.START:
            number, next_number = next_number, next_number + 1
            running.append(number)
        elif moment is Moment.FINISH:
            known = running and draw.random() < 0.9
            number = running.pop(draw.randrange(len(running))) if known else 10_000 + draw.randrange(100)
        readings.append(Reading(now, shown, moment, number))
    return Log(readings, advanced)


def check_log(log: Log) -> None:
    """Raises AssertionError unless every Wh of the register is allocated once, and each operation's two entries say by
    themselves what it was allocated."""
    found = allocate(log.readings, modulus_wh=MODULUS_WH)
    assert found.advance_wh == log.advance_wh, (found.advance_wh, log.advance_wh)
    assert sum(found.wh.values()) + found.idle_wh == log.advance_wh
    unfinished = {one.assignment for one in found.notes if one.note is Note.UNFINISHED}
    for number, wh in found.wh.items():
        assert wh == sum(segment.own_wh for segment in found.segments[number])
        if number not in unfinished:
            assert wh_between(*_entries(log, number, found.segments[number]), max_power_w=10**9) == wh


def _entries(log: Log, number: int, segments: object) -> tuple[RegisterEntry, RegisterEntry]:
    """The entries of an operation, as a node would write them."""
    at = [place for place, one in enumerate(log.readings) if one.assignment == number]
    first, last = at[0], at[1]
    resets, before = list[tuple[int, int]](), log.readings[first]
    for one in log.readings[first + 1 : last + 1]:
        if one.moment is Moment.RESET:
            resets.append((before.wh if one.before_wh is None else one.before_wh, one.wh))
        elif one.wh < before.wh:
            resets.append((MODULUS_WH, 0))
        before = one
    start, finish = RegisterEntry(log.readings[first]), log.readings[last]
    return start, RegisterEntry(finish, start=first, resets=tuple(resets), segments=tuple(segments))  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    draw, began = random.Random(asked.seed), time.process_time()  # noqa: S311  # to be had again, not secret
    readings = 0
    for _ in range(asked.count):
        log = build_log(draw)
        check_log(log)
        readings += len(log.readings)
    spent = time.process_time() - began
    sys.stdout.write(
        f"{asked.count} random register logs (seed {asked.seed}), {readings} readings: allocated and idle Wh are the "
        f"register's advance in all of them; {spent:.0f} CPU seconds\n"
    )


if __name__ == "__main__":
    main()
