"""All errors of the ledger library, as one tree.

    MillmarkError
      InputError                 the user's input is unusable (exit code 2)
        IdentifierError          text is not a URI that has a canonical form
        CanonicalError           a value is not representable as canonical JSON
        ClaimsError              claims or a disclosure are malformed, or lack a field
        RecordError              a field of a record is out of range
        BundleError              a provenance file is malformed
          NotABundleError        the file is not a provenance file of this version at all
        GenealogyError           lots are their own ancestors
        FootprintError           a footprint is malformed, incomplete or does not add up
          RegisterError          readings of an energy register cannot be those of one register
          FactorError            an emission factor is malformed, unknown, of another kind or not valid when it is used
        SettingsError            a setting is missing, unknown or unsafe
        TrustError               a trust file or checkpoint file is malformed
        RequestError             a forward request is malformed, or must not be relayed
        PlanError                a call, an offer, a plan or a plan file is malformed
        ProductError             a product document is not in exactly the format of PRODUCTS.md
        SpecificationError       a specification does not fit its product
        NotInstalledError        packages of an optional extra are missing
      ProofError                 a Merkle or state proof is malformed or invalid
      PlanRefusedError           a plan breaks a rule; has the rule, and the row it is about
      UnplannableError           no plan is possible on these offers, or none was found
      CheckpointError            the trust file gives no reason to believe a block
        WrongCheckpointError     the checkpoint is for another chain, ledger or block
        SignatureMalformedError  a signature does not have the required form of 65 bytes
        SignerUnknownError       the signer is not among the trust file's co-signers
        SignerTwiceError         one participant signed twice
        QuorumMissedError        too few participants signed, or too few validators
        SealsError               seals, or the list of validators that a block has, are malformed
        WrongValidatorsError     the block lists other validators than those believed, and nothing leads to them
        CheckpointUnlinkedError  no chain of hashes leads from the checkpoint back to the block
        CheckpointTooOldError    the block is older than allowed, or in the future
      SigningError               a key cannot be found, opened or used
      NotFoundError              nothing with that name is known
      ChainError                 a node or contract failed
        ChainUnreachableError    the node does not answer, or its answer is unusable
          NodeBehindError        the node lacks blocks that are known to exist
        MethodMissingError       the node does not have a method of JSON-RPC
        FundsError               a key cannot pay for its transaction
        FeeTooLowError           the node takes no transaction at the price that is offered
        WrongChainError          the node serves a chain other than the expected one
        WrongContractError       the code at an address is not that of this version
        ContractRefusedError     a contract reverted; has the error's name and values
      StoreError                 the database failed
        StoreDamagedError        the database cannot be used in its present state
        StoreBusyError           the database is locked, out of connections, or indexed by another process
      SubmitError                a record cannot be queued or sent
        DuplicateRecordError     an idempotency key was reused for another record
        LeaseHeldError           another submitter holds the lease on the same key
        OutboxOlderError         the outbox does not know records that its key made
        LedgerSetBackError       the chain lost final blocks with records of the outbox
      IndexHaltedError           the follower met something that it must not skip

Every error has one line for the user: the cause, followed by the hint if there is one. `code` is stable and part of the
API; `retry` tells, from a closed list, what a caller may do next.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar


class Retry(enum.Enum):
    """What a caller may do after an error: a closed list, part of the API."""

    NEVER = "never"
    """The same request will fail again."""
    UNCHANGED = "unchanged"
    """The same request may be sent again, byte for byte."""
    REFRESHED = "refreshed"
    """The caller must read the current state and build a new request."""
    OPERATOR = "operator"
    """A person must act first."""


# How members of enumerations, and the values of a contract's error, are shown to people.

ENUMERATIONS: Mapping[str, str] = {
    "CertificateStatus.NONE": "no certificate",
    "CertificateStatus.VALID": "in force",
    "CertificateStatus.FALLEN": "fallen with its model",
    "CertificateStatus.UNOPENED": "not opened in time",
    "CertificateStatus.VOIDED": "void, reworked since",
    "LotState.NONE": "not recorded",
    "LotState.HELD": "in custody",
    "LotState.QUARANTINED": "in quarantine",
    "LotState.SPENT": "used up",
    "LotState.RETURNING": "on its way back, in quarantine",
    "Verdict.NONE": "no verdict",
}
"""Words for members of enumerations, if they are not the members' names."""


def show_member(value: enum.Enum) -> str:
    """The word for a member of an enumeration, the same in errors, commands and pages."""
    return ENUMERATIONS.get(f"{type(value).__name__}.{value.name}", value.name.lower().replace("_", " "))


def show_value(name: str, value: object) -> str:
    """The value of an error's argument in words."""
    # People count operations from 1; the contracts, and `values`, from 0.
    return str(value + 1) if name == "operation" and isinstance(value, int) else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, enum.Enum):
        return show_member(value)
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


class MillmarkError(Exception):
    """Root of the tree. `str()` is one line: the cause and, after a semicolon, the hint if there is one."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, cause: str, *, hint: str = "") -> None:
        self.cause = cause
        self.hint = hint
        super().__init__(f"{cause}; {hint}" if hint else cause)


class InputError(MillmarkError):
    """The user's input is unusable."""

    code = "input-unusable"
    exit_code = 2


class IdentifierError(InputError):
    """Text is not a URI that has a canonical form."""

    code = "identifier-malformed"


class CanonicalError(InputError):
    """A value or text is not JSON that every reader reads alike.

    Canonical JSON (RFC 8785) cannot represent the value, or `parse_json` refuses the text.
    """

    code = "json-not-canonical"


class ClaimsError(InputError):
    """Claims or a disclosure are malformed, or lack the field asked for."""

    code = "claims-refused"


class RecordError(InputError):
    """A field of a record is out of range."""

    code = "record-malformed"


class GenealogyError(InputError):
    """Lots are their own ancestors."""

    code = "genealogy-circular"


class FootprintError(InputError):
    """A footprint is malformed, incomplete or does not add up."""

    code = "footprint-invalid"


class RegisterError(FootprintError):
    """Readings of an energy register cannot be those of one register."""

    code = "register-invalid"


class FactorError(FootprintError):
    """An emission factor is malformed, unknown, of another kind or not valid when it is used."""

    code = "factor-invalid"


class BundleError(InputError):
    """A provenance file is not in exactly the format of BUNDLE.md."""

    code = "bundle-malformed"


class NotABundleError(BundleError):
    """A file is not a provenance file, or is one of another version."""

    code = "bundle-unknown"


class SettingsError(InputError):
    """A setting is missing, unknown or unsafe."""

    code = "settings-refused"


class TrustError(InputError):
    """A trust file or checkpoint file is malformed."""

    code = "trust-malformed"


class RequestError(InputError):
    """A forward request is malformed, or must not be relayed."""

    code = "request-unusable"


class PlanError(InputError):
    """A call, an offer, a plan or a plan file is not in exactly the format of PLANS.md."""

    code = "plan-malformed"


class ProductError(InputError):
    """A product document is not in exactly the format of PRODUCTS.md."""

    code = "product-malformed"


class SpecificationError(InputError):
    """A specification does not fit its product, or its order: an option is unknown, missing or out of range, a
    constraint does not hold, or no quantity is agreed."""

    code = "specification-refused"


class NotInstalledError(InputError):
    """The packages of an optional extra are not installed."""

    code = "extra-missing"

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs {package}", hint=f"pip install 'millmark[{extra}]'")


class ProofError(MillmarkError):
    """A Merkle proof, state proof or block header is malformed or invalid."""

    code = "proof-refused"


class PlanRefusedError(MillmarkError):
    """A plan breaks a rule of PLANS.md.

    `rule` is its name there; `order` and `operation` (from 0) name the row, and are None when it concerns none.
    """

    code = "plan-refused"

    def __init__(self, rule: str, cause: str, *, order: bytes | None = None, operation: int | None = None) -> None:
        self.rule = rule
        self.order = order
        self.operation = operation
        super().__init__(cause)


class UnplannableError(MillmarkError):
    """No plan is possible on these offers, or none was found in the time given."""

    code = "plan-impossible"


class CheckpointError(MillmarkError):
    """The trust file gives no reason to believe a block."""

    code = "checkpoint-refused"


class WrongCheckpointError(CheckpointError):
    """The checkpoint is for another chain, ledger or block."""

    code = "checkpoint-wrong"


class SignatureMalformedError(CheckpointError):
    """A signature does not have the required form of 65 bytes (see `Signature`)."""

    code = "signature-malformed"


class SignerUnknownError(CheckpointError):
    """The signer is not among the trust file's co-signers, or among the block's validators."""

    code = "signer-unknown"


class SignerTwiceError(CheckpointError):
    """One participant or validator signed twice."""

    code = "signer-twice"


class QuorumMissedError(CheckpointError):
    """Too few participants signed, or too few validators."""

    code = "quorum-missed"


class SealsError(CheckpointError):
    """Seals, or the list of validators that a block has, are not in the form of SEALS.md."""

    code = "seals-malformed"


class WrongValidatorsError(CheckpointError):
    """The block lists other validators than those believed, and no set changes lead to them."""

    code = "validators-wrong"


class CheckpointUnlinkedError(CheckpointError):
    """No chain of hashes leads from the checkpoint back to the block."""

    code = "checkpoint-unlinked"


class CheckpointTooOldError(CheckpointError):
    """The block is older than allowed, or in the future."""

    code = "checkpoint-too-old"


class SigningError(MillmarkError):
    """A key cannot be found, opened or used."""

    code = "key-unusable"


class NotFoundError(MillmarkError):
    """Nothing with that name is known."""

    code = "not-found"


class ChainError(MillmarkError):
    """A node or a contract failed."""

    code = "chain-failed"


class ChainUnreachableError(ChainError):
    """The node does not answer, or its answer is unusable."""

    code = "chain-unreachable"
    retry = Retry.UNCHANGED


class NodeBehindError(ChainUnreachableError):
    """The node lacks blocks that are known to exist: it is not in sync, or cut off from the other nodes."""

    code = "chain-behind"
    exit_code = 3


class MethodMissingError(ChainError):
    """The node does not have a method of JSON-RPC, or its API is switched off."""

    code = "chain-method-missing"
    retry = Retry.OPERATOR


class FundsError(ChainError):
    """A key cannot pay for its transaction."""

    code = "key-without-funds"
    retry = Retry.OPERATOR


class FeeTooLowError(ChainError):
    """The node takes no transaction at the price that is offered."""

    code = "fee-too-low"
    retry = Retry.OPERATOR


class WrongChainError(ChainError):
    """The node serves a chain other than the expected one."""

    code = "chain-wrong"
    retry = Retry.OPERATOR


class WrongContractError(ChainError):
    """The code at an address is not that of this version's artefacts."""

    code = "contract-wrong"
    retry = Retry.OPERATOR


class ContractRefusedError(ChainError):
    """A contract reverted.

    `name` is the custom error's name in Solidity, `values` are its arguments by name, in order of declaration; those of
    an enumeration are members of it, which the text names.
    """

    code = "contract-refused"
    retry = Retry.REFRESHED

    def __init__(self, name: str, values: Mapping[str, object], *, hint: str = "") -> None:
        self.name = name
        self.values = dict(values)
        shown = ", ".join(f"{key}={show_value(key, value)}" for key, value in self.values.items())
        super().__init__(f"{name}({shown})", hint=hint)


class StoreError(MillmarkError):
    """The database failed."""

    code = "store-failed"
    retry = Retry.OPERATOR


class StoreDamagedError(StoreError):
    """The database cannot be used in its present state."""

    code = "store-damaged"


class StoreBusyError(StoreError):
    """The database is locked, or all connections to it are in use: nothing was changed. Or another process indexes into
    it, which does the rest."""

    code = "store-busy"
    retry = Retry.UNCHANGED
    retry_after_s: ClassVar[int] = 5


class SubmitError(MillmarkError):
    """A record cannot be queued or sent."""

    code = "submit-failed"


class DuplicateRecordError(SubmitError):
    """An idempotency key was used before, for another record."""

    code = "duplicate-record"


class LeaseHeldError(SubmitError):
    """Another submitter holds the lease on the same key. `holder` names it: host, process and its start time."""

    code = "lease-held"
    retry = Retry.UNCHANGED

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"another submitter is active for the same key ({holder})",
            hint="run one submitter for each key; nothing was lost",
        )


class OutboxOlderError(SubmitError):
    """The outbox is older than the ledger: its key made records that it does not know."""

    code = "outbox-older-than-ledger"
    retry = Retry.OPERATOR


class LedgerSetBackError(SubmitError):
    """The chain lost final blocks: records that the outbox has as final are not on the ledger."""

    code = "ledger-set-back"
    retry = Retry.OPERATOR


class IndexHaltedError(MillmarkError):
    """The follower met something that it must not skip: a changed final block, a gap, a log that does not decode."""

    code = "index-halted"
    retry = Retry.OPERATOR
