"""Logging: one JSON object per line, on standard error."""

from __future__ import annotations

import sys
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

__all__ = ["build_logger", "build_server_log"]


def _common() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),  # may hold secrets
    ]


def build_logger() -> FilteringBoundLogger:
    """Builds a logger without touching structlog's global configuration."""
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[structlog.processors.add_log_level, *_common(), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return cast(FilteringBoundLogger, logger.bind())


def build_server_log() -> dict[str, Any]:
    """Returns a `logging` configuration that writes uvicorn's own messages in the same format. uvicorn's access log is
    off, because paths contain identifiers."""
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [structlog.stdlib.add_log_level, *_common()],
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    }
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "handlers": {"stderr": handler},
        "loggers": {"uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False}},
    }
