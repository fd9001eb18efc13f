"""Errors of the network package, below the root in `millmark.ledger.errors`.

MillmarkError
  NetworkError               a network cannot be set up as asked
    NetworkFileError         a network file or a validator's request is malformed (exit code 2)
  NodeProgramError           a node program is missing, unsuitable, or did not start
  ChainUnreachableError
    NodeAnswerError          a node answers, but not what it is asked
"""

from __future__ import annotations

from millmark.ledger.errors import ChainUnreachableError, MillmarkError

__all__ = ["NetworkError", "NetworkFileError", "NodeAnswerError", "NodeProgramError"]


class NetworkError(MillmarkError):
    """A network cannot be set up as asked."""

    code = "network-refused"


class NetworkFileError(NetworkError):
    """A network file or a validator's request is malformed."""

    code = "network-file-malformed"
    exit_code = 2


class NodeProgramError(MillmarkError):
    """A node program is missing, unsuitable, or did not start."""

    code = "node-program-failed"


class NodeAnswerError(ChainUnreachableError):
    """A node answers, but not what it is asked: a part of its API is off, or it is another program."""

    code = "node-answer-wrong"
