"""Every failure that the ledger names, as one tree.

    MillmarkError
      InputError                 what the user gave is unusable (exit code 2)
        IdentifierError          not a URI that has a canonical form
        CanonicalError           not representable as canonical JSON
        ClaimsError              not a claims document, or a disclosure of another one
        RecordError              a field of a record is out of range
        BundleError              a provenance file is malformed
          NotABundleError        not a provenance file of this version at all
        GenealogyError           lots that came of themselves
        SettingsError            a setting is missing, unknown or unsafe
        TrustError               not a trust file, or not a checkpoint file
        RequestError             not a forward request, or not one that may be relayed
        NotInstalledError        packages of an extra are missing
      ProofError                 a Merkle proof does not hold
      CheckpointError            a block is not one that the trust file lets us believe
        WrongCheckpointError     the checkpoint is of another chain, ledger or block
        SignatureMalformedError  a signature is not 65 bytes in the one form allowed
        SignerUnknownError       who signed is not among the trust file's co-signers
        SignerTwiceError         one participant signed twice
        QuorumMissedError        too few participants signed
        CheckpointUnlinkedError  no chain of hashes leads from the checkpoint back to the block
        CheckpointTooOldError    the block is older than allowed, or later than now
      SigningError               a key cannot be found, opened or used
      NotFoundError              nothing under that name
      ChainError
        ChainUnreachableError    no answer, or no usable one
        WrongChainError          another chain than the one asked for
        WrongContractError       the code at an address is not this version's
        ContractRefusedError     a contract reverted; carries the error's name and values
      StoreError
        StoreDamagedError        the database is not usable as it is
      SubmitError                a record cannot be queued or sent
        DuplicateRecordError     an idempotency key came back with another record
        LeaseHeldError           another submitter works for the same key
      IndexHaltedError           the follower saw what it must not pass over

Every class carries one line for the user: the cause, and the hint after it. `code` is stable and part of the API;
`retry` says, from a closed list, what a caller may do next.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar

__all__ = [
    "BundleError",
    "CanonicalError",
    "ChainError",
    "ChainUnreachableError",
    "CheckpointError",
    "CheckpointTooOldError",
    "CheckpointUnlinkedError",
    "ClaimsError",
    "ContractRefusedError",
    "DuplicateRecordError",
    "GenealogyError",
    "IdentifierError",
    "IndexHaltedError",
    "InputError",
    "LeaseHeldError",
    "MillmarkError",
    "NotABundleError",
    "NotFoundError",
    "NotInstalledError",
    "ProofError",
    "QuorumMissedError",
    "RecordError",
    "RequestError",
    "Retry",
    "SettingsError",
    "SignatureMalformedError",
    "SignerTwiceError",
    "SignerUnknownError",
    "SigningError",
    "StoreDamagedError",
    "StoreError",
    "SubmitError",
    "TrustError",
    "WrongChainError",
    "WrongCheckpointError",
    "WrongContractError",
]


class Retry(enum.Enum):
    """What may be done about a failure."""

    NEVER = "never"
    """The same request will fail again."""
    UNCHANGED = "unchanged"
    """The same bytes may be sent again."""
    REFRESHED = "refreshed"
    """Read the state anew, then build the request again."""
    OPERATOR = "operator"
    """A person must act first."""


class MillmarkError(Exception):
    """Root of the tree. `str()` is one line: the cause, and after a semicolon the hint when there is one."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, cause: str, *, hint: str = "") -> None:
        self.cause = cause
        self.hint = hint
        super().__init__(f"{cause}; {hint}" if hint else cause)


class InputError(MillmarkError):
    """What the user gave is unusable."""

    code = "input-unusable"
    exit_code = 2


class IdentifierError(InputError):
    """Not a URI that has a canonical form."""

    code = "identifier-malformed"


class CanonicalError(InputError):
    """Not representable as canonical JSON (RFC 8785)."""

    code = "json-not-canonical"


class ClaimsError(InputError):
    """Not a claims document, or a disclosure that belongs to another one."""

    code = "claims-refused"


class RecordError(InputError):
    """A field of a record is out of range."""

    code = "record-malformed"


class GenealogyError(InputError):
    """Lots that came of themselves."""

    code = "genealogy-circular"


class BundleError(InputError):
    """A provenance file is not exactly what BUNDLE.md says."""

    code = "bundle-malformed"


class NotABundleError(BundleError):
    """No provenance file, or one of another version."""

    code = "bundle-unknown"


class SettingsError(InputError):
    """A setting is missing, unknown or unsafe."""

    code = "settings-refused"


class TrustError(InputError):
    """Not a trust file, or not a checkpoint file."""

    code = "trust-malformed"


class RequestError(InputError):
    """Not a forward request, or not one that may be relayed."""

    code = "request-unusable"


class NotInstalledError(InputError):
    """This installation lacks the packages of an extra."""

    code = "extra-missing"

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs {package}", hint=f"pip install 'millmark[{extra}]'")


class ProofError(MillmarkError):
    """A Merkle proof does not hold."""

    code = "proof-refused"


class CheckpointError(MillmarkError):
    """A block is not one that the trust file lets us believe."""

    code = "checkpoint-refused"


class WrongCheckpointError(CheckpointError):
    """The checkpoint is of another chain, ledger or block."""

    code = "checkpoint-wrong"


class SignatureMalformedError(CheckpointError):
    """A signature is not 65 bytes in the one form allowed."""

    code = "signature-malformed"


class SignerUnknownError(CheckpointError):
    """Who signed is not among the trust file's co-signers."""

    code = "signer-unknown"


class SignerTwiceError(CheckpointError):
    """One participant signed twice."""

    code = "signer-twice"


class QuorumMissedError(CheckpointError):
    """Too few participants signed."""

    code = "quorum-missed"


class CheckpointUnlinkedError(CheckpointError):
    """No chain of hashes leads from the checkpoint back to the block."""

    code = "checkpoint-unlinked"


class CheckpointTooOldError(CheckpointError):
    """The block is older than allowed, or later than now."""

    code = "checkpoint-too-old"


class SigningError(MillmarkError):
    """A key cannot be found, opened or used."""

    code = "key-unusable"


class NotFoundError(MillmarkError):
    """Nothing is known under that name."""

    code = "not-found"


class ChainError(MillmarkError):
    """Something about the chain."""

    code = "chain-failed"


class ChainUnreachableError(ChainError):
    """The node gave no answer, or none that can be used."""

    code = "chain-unreachable"
    retry = Retry.UNCHANGED


class WrongChainError(ChainError):
    """The node serves another chain than the one asked for."""

    code = "chain-wrong"
    retry = Retry.OPERATOR


class WrongContractError(ChainError):
    """The code at an address is not the code of this version's artefacts."""

    code = "contract-wrong"
    retry = Retry.OPERATOR


class ContractRefusedError(ChainError):
    """A contract reverted.

    `name` is the custom error's name in Solidity, `values` its arguments by name, in order of declaration.
    """

    code = "contract-refused"
    retry = Retry.REFRESHED

    def __init__(self, name: str, values: Mapping[str, object], *, hint: str = "") -> None:
        self.name = name
        self.values = dict(values)
        shown = ", ".join(f"{key}={_plain(value)}" for key, value in self.values.items())
        super().__init__(f"{name}({shown})", hint=hint)


class StoreError(MillmarkError):
    """Something about the database."""

    code = "store-failed"
    retry = Retry.OPERATOR


class StoreDamagedError(StoreError):
    """The database cannot be used as it is."""

    code = "store-damaged"


class SubmitError(MillmarkError):
    """A record cannot be queued or sent."""

    code = "submit-failed"


class DuplicateRecordError(SubmitError):
    """An idempotency key was used before, with another record."""

    code = "duplicate-record"


class LeaseHeldError(SubmitError):
    """Another submitter works for the same key. `holder` says which: host, process, and when it began."""

    code = "lease-held"
    retry = Retry.UNCHANGED

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"another submitter works for the same key ({holder})",
            hint="run one submitter for each key; nothing was lost",
        )


class IndexHaltedError(MillmarkError):
    """The follower saw what it must not pass over: a changed final block, a gap, a log that does not decode."""

    code = "index-halted"
    retry = Retry.OPERATOR


def _plain(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
