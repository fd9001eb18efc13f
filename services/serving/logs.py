"""Logging: one JSON object per line, on standard error (LOGS.md lists all lines).

Logging never raises, and never waits long: work must not fail because nobody can read about it. A line that cannot be
written is counted, and the count is logged once a line can be written again.
"""

from __future__ import annotations

import json
import select
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

_PIECE_BYTES: Final = 4096
"""PIPE_BUF of Linux: a pipe that poll(2) reports as writable takes that much without blocking."""
_WAIT_MS: Final = 250
"""How long a line waits for a reader that does not read. The lines after it do not wait until one was written."""


class LineWriter:
    """Writes lines to a stream; never raises. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._torn = False
        """Whether a line was written in part, so that the next one has to start on a line of its own."""
        self._told = 0
        self.lost = 0
        """Number of lines that could not be written."""
        self.failing_since_s: float | None = None
        """Since when no line could be written, in seconds since 1970; None if the latest one was."""

    def write(self, stream: TextIO | None, text: str) -> None:
        """Writes a line, with its line break, or counts it as lost. `stream`: None if the process has none."""
        with self._lock:
            note = _note_lost(self.lost - self._told) if self.lost > self._told else ""
            try:
                # The reader may have ended (EPIPE), the disk may be full (ENOSPC), the stream closed or absent.
                self._write(stream, note + text)
            except (OSError, ValueError):
                self.count()
            else:
                self._told, self.failing_since_s = self.lost, None

    def count(self) -> None:
        """Counts a line that was lost."""
        with self._lock:
            self.lost += 1
            self.failing_since_s = self.failing_since_s or time.time()

    def _write(self, stream: TextIO | None, text: str) -> None:
        if stream is None:
            raise BrokenPipeError
        raw = getattr(getattr(stream, "buffer", None), "raw", None)
        if raw is None:  # replaced by an object in memory
            stream.write(text)
            stream.flush()
            return
        # Past Python's buffers: they would keep what failed, and write it in the middle of a later line.
        data = (b"\n" if self._torn else b"") + text.encode("utf-8", "backslashreplace")
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLOUT)
        while data:
            if not poll.poll(_WAIT_MS if self.failing_since_s is None else 0):
                raise BlockingIOError  # the reader is stopped: waiting for it would stop everything that logs
            data = data[raw.write(data[:_PIECE_BYTES]) or 0 :]
            self._torn = bool(data)


STANDARD_ERROR: Final = LineWriter()
"""The process's only one, as it has one standard error."""


class _Lines:
    """Standard error as it is now, with the methods that structlog expects of a logger, and logging of a stream."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> None:
        STANDARD_ERROR.write(self._stream, text)

    def flush(self) -> None:
        """Does nothing: lines are not buffered."""

    def msg(self, line: str) -> None:
        self.write(line + "\n")

    log = debug = info = warn = warning = error = exception = critical = fatal = failure = msg


class _Rendering:
    """Runs processors, the last of which renders; if one fails, renders just the event's name and level."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        self._processors = processors

    def __call__(self, logger: WrappedLogger, name: str, event_dict: EventDict) -> str:
        plain = {"event": str(event_dict.get("event")), "level": name, "timestamp": _now()}
        found: Any = event_dict
        try:
            for processor in self._processors:
                found = processor(logger, name, found)
        except Exception as error:  # a member that cannot be rendered must not stop the work that logs it
            return json.dumps({**plain, "not_rendered": type(error).__name__})
        return str(found)


def _common() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),  # may hold secrets
    ]


def build_logger() -> FilteringBoundLogger:
    """Builds a logger without touching structlog's global configuration."""
    processors: list[Processor] = [structlog.processors.add_log_level, *_common(), structlog.processors.JSONRenderer()]
    logger = structlog.wrap_logger(
        _Lines(),
        processors=[_Rendering(processors)],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return cast(FilteringBoundLogger, logger.bind())


CLIENTS: Final = "uvicorn.clients"
"""Name of the logger for what connections do."""


def build_server_log() -> dict[str, Any]:
    """Returns a `logging` configuration that writes uvicorn's own messages in the same format. uvicorn's access log is
    off, because paths contain identifiers."""
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [structlog.stdlib.add_log_level, *_common()],
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    }
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": _Lines()}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "handlers": {"stderr": handler},
        "loggers": {
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            # Warnings about what clients send: anybody could fill the log with them.
            CLIENTS: {"level": "ERROR"},
        },
    }


def _note_lost(lines: int) -> str:
    return json.dumps({"lines": lines, "event": "log lines lost", "level": "warning", "timestamp": _now()}) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
