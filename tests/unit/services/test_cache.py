"""Caches: least recently used first, bounded in memory; computed values hold for one state, and are computed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from millmark.services.cache import LruCache, StateCache
from tests.support.patience import MAX_S


def test_what_was_least_recently_used_goes_first() -> None:
    cache: LruCache[str] = LruCache(max_bytes=10)
    for name in "abc":
        cache.put(name, name, 3)
    assert cache.get("a") == "a"
    cache.put("d", "d", 3)
    assert [cache.get(name) for name in "abcd"] == ["a", None, "c", "d"]
    cache.put("a", "A", 4)
    assert [cache.get(name) for name in "acd"] == ["A", "c", "d"]
    cache.put("whole", "w", 11)
    assert [cache.get(name) for name in ("whole", "a", "c", "d")] == [None] * 4
    cache.put("e", "e", 10)
    assert cache.get("e") == "e", "room is counted back"


class Counting:
    def __init__(self, answer: bytes = b"x") -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> bytes:
        self.times += 1
        return self.answer


def test_what_did_not_change_is_asked_for_once() -> None:
    cache, work = StateCache(1000), Counting()
    assert [cache.get_or_compute("now", "a", work) for _ in range(3)] == [b"x"] * 3
    assert work.times == 1
    cache.get_or_compute("now", "b", work)
    assert work.times == 2


def test_another_state_ends_it() -> None:
    cache = StateCache(1000)
    assert cache.get_or_compute("now", "a", Counting(b"old")) == b"old"
    assert cache.get_or_compute("later", "a", Counting(b"new")) == b"new"
    assert cache.get_or_compute("later", "a", Counting(b"not asked")) == b"new"
    assert cache.get_or_compute("now", "a", Counting(b"who still reads that")) == b"who still reads that"


def test_an_answer_of_a_state_that_was_overtaken_is_not_kept() -> None:
    cache = StateCache(1000)

    def work() -> bytes:
        cache.get_or_compute("later", "b", Counting())
        return b"of the state before"

    assert cache.get_or_compute("now", "a", work) == b"of the state before"
    assert cache.get_or_compute("later", "a", Counting(b"new")) == b"new"


def test_what_many_ask_for_at_once_is_worked_out_at_most_twice() -> None:
    cache, together = StateCache(1000), Barrier(8)
    work = Counting()

    def ask() -> bytes:
        together.wait(MAX_S)
        return cache.get_or_compute("now", "a", work)

    with ThreadPoolExecutor(8) as pool:
        assert [one.result(10) for one in [pool.submit(ask) for _ in range(8)]] == [b"x"] * 8
    assert 1 <= work.times <= 2


def test_a_failure_lets_the_next_one_work() -> None:
    cache = StateCache(1000)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            cache.get_or_compute("now", "a", lambda: bytes(1 // 0))
    assert cache.get_or_compute("now", "b", Counting()) == b"x"


def test_a_failure_is_not_kept() -> None:
    cache = StateCache(1000)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_compute("now", "a", lambda: bytes(1 // 0))
    assert cache.get_or_compute("now", "a", Counting(b"right")) == b"right"


def test_memory_is_bounded() -> None:
    cache = StateCache(max_bytes=100)
    for number in range(50):
        cache.get_or_compute("now", number, Counting(b"0123456789"))
    recent, old = Counting(), Counting()
    cache.get_or_compute("now", 49, recent)
    cache.get_or_compute("now", 0, old)
    assert (recent.times, old.times) == (0, 1)
    assert cache.get_or_compute("now", "huge", Counting(b"x" * 1000)) == b"x" * 1000
