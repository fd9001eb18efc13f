"""Logging never raises and never blocks, whatever becomes of standard error; what was lost is counted and told."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from millmark.services.serving.logs import STANDARD_ERROR, LineWriter, build_logger, build_server_log
from tests.support.broken_log import dead_standard_error, full_standard_error, standard_error
from tests.support.patience import MAX_S

LINE = "x" * 9_000 + "\n"
"""Longer than what a pipe takes at once."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # closed by the test


def test_a_reader_that_ended_is_survived_and_counted() -> None:
    before = STANDARD_ERROR.lost
    with dead_standard_error():
        logger = build_logger()
        for _ in range(3):
            logger.info("indexed", records=1)
        logger.bind(stream="bench").error("failed", exc_info=ValueError("x"))
    assert STANDARD_ERROR.lost - before == 4
    assert STANDARD_ERROR.failing_since_s is not None


def test_a_full_disk_is_survived_and_told_once_there_is_room(tmp_path: Any) -> None:
    """/dev/full is a real ENOSPC of the kernel, at the descriptor itself."""
    writer, path = LineWriter(), tmp_path / "log"
    with full_standard_error():
        writer.write(sys.stderr, "one\n")
        writer.write(sys.stderr, "two\n")
    assert writer.lost == 2
    assert writer.failing_since_s is not None
    with standard_error(roomy := os.open(path, os.O_WRONLY | os.O_CREAT)):
        writer.write(sys.stderr, "three\n")
        writer.write(sys.stderr, "four\n")
    os.close(roomy)
    told, *rest = path.read_text().splitlines()
    assert rest == ["three", "four"]
    assert {key: value for key, value in json.loads(told).items() if key != "timestamp"} == {
        "event": "log lines lost",
        "level": "warning",
        "lines": 2,
    }
    assert [writer.lost, writer.failing_since_s] == [2, None]


def test_a_reader_that_is_stopped_blocks_nobody(pipe: tuple[int, int]) -> None:
    """Nobody reads: the pipe fills up, one line waits for a moment, and none after it."""
    writer = LineWriter()
    with standard_error(pipe[1]):
        start = time.monotonic()
        for _ in range(1000):
            writer.write(sys.stderr, LINE)
        assert time.monotonic() - start < MAX_S
        assert writer.lost > 900
        read = b""
        while b"last" not in read:  # the reader goes on: whole lines again, the torn one closed
            read += os.read(pipe[0], 1 << 16)
            writer.write(sys.stderr, "last\n")
    lines = read.decode().splitlines()
    torn = [line for line in lines if line not in (LINE.strip(), "last") and not line.startswith("{")]
    assert all(set(line) == {"x"} for line in torn)
    assert len(torn) <= 1


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_no_standard_error_at_all_is_survived(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    writer = LineWriter()
    writer.write(sys.stderr, "lost\n")
    assert writer.lost == 1


def test_what_cannot_be_rendered_is_told_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    build_logger().info("odd", thing=Odd())
    told = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (told["event"], told["level"], told["not_rendered"]) == ("odd", "info", "RuntimeError")


def test_the_servers_own_messages_go_the_same_way() -> None:
    before = STANDARD_ERROR.lost
    with dead_standard_error():
        logging.config.dictConfig(build_server_log())
        logging.getLogger("uvicorn.error").warning("of the server")
    assert STANDARD_ERROR.lost == before + 1
