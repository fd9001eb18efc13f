"""What `scripts/prove properties` proves, each property with the mutant of contracts/src on which it must fail."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PROPERTIES", "Mutant", "Property"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the contracts that breaks a promise."""

    file: str
    """Below contracts/src."""
    text: str
    """What is replaced; occurs in the file exactly once."""
    replacement: str
    breaks: str
    """What the changed contract does wrong."""

    def apply(self, source: str) -> str:
        """The changed source. Raises ValueError unless the text occurs once."""
        if source.count(self.text) != 1:
            raise ValueError(f"{self.file}: {self.text!r} occurs {source.count(self.text)} times, not once")
        return source.replace(self.text, self.replacement)


@dataclass(frozen=True, slots=True)
class Property:
    """A `check_` function; its comment states property, bounds and source of the promise."""

    contract: str
    check: str
    mutant: Mutant


PROPERTIES = (
    Property(
        "AccessProof",
        "check_outsidersRecordNothing",
        Mutant(
            "history/Notes.sol",
            "if (sender != Ownable(address(registry)).owner())",
            "if (sender == Ownable(address(registry)).owner())",
            "anybody notes as if it were the owner",
        ),
    ),
    Property(
        "AccessProof",
        "check_outsidersAdministerNothing",
        Mutant(
            "registry/Members.sol",
            "function publish(uint16 kind, bytes32 digest) external onlyOwner {",
            "function publish(uint16 kind, bytes32 digest) external {",
            "anybody publishes",
        ),
    ),
    Property(
        "AccessProof",
        "check_suspendedCompaniesRecordNothing",
        Mutant(
            "registry/Members.sol",
            "        if (inactiveSince != 0) _requireActive(participant, company);\n",
            "",
            "a suspended company acts",
        ),
    ),
    Property(
        "RoleProof",
        "check_noAuthorityWithoutRole",
        Mutant(
            "registry/Members.sol",
            "        roles &= held;\n",
            "",
            "a key keeps rights that its company lost",
        ),
    ),
    Property(
        "ConservationProof",
        "check_splitConserves",
        Mutant(
            "history/Transformations.sol",
            "(tally.conserved - gone) * yieldOut == tally.made * yieldIn",
            "(tally.conserved - gone) * yieldOut <= tally.made * yieldIn",
            "more comes out than went in",
        ),
    ),
    Property(
        "ConservationProof",
        "check_mergeConserves",
        Mutant(
            "history/Lots.sol",
            "entry.quantity = held - quantity;",
            "entry.quantity = held;",
            "what is taken out of a lot stays in it",
        ),
    ),
    Property(
        "ConservationProof",
        "check_assemblyConserves",
        Mutant(
            "history/Transformations.sol",
            "        if (!input.component) {\n",
            "        {\n",
            "a component counts as conserved",
        ),
    ),
    Property(
        "ConservationProof",
        "check_scrapConserves",
        Mutant(
            "history/Lots.sol",
            "if (quantity == held) (entry.state",
            "if (quantity != held) (entry.state",
            "a lot is spent when something is left",
        ),
    ),
    Property(
        "CustodyProof",
        "check_onlyTheCustodianMovesALot",
        Mutant(
            "history/Book.sol",
            "if (holder != actor.participant) revert ILots.LotForeign(lot, uint32(holder));",
            "",
            "anybody acts as a lot's custodian",
        ),
    ),
    Property(
        "CustodyProof",
        "check_nothingIsForcedOnAnybody",
        Mutant(
            "history/Custody.sol",
            "        (entry.state, entry.counterparty) = (ILots.LotState.Offered, to);\n",
            "        (entry.state, entry.holder) = (ILots.LotState.Held, to);\n",
            "an offer hands over at once",
        ),
    ),
    Property(
        "CustodyProof",
        "check_acceptanceNamesTheOffer",
        Mutant(
            "history/Custody.sol",
            "        if (sequence != offer) revert CustodyOfferWrong(lot, offer, sequence);\n",
            "",
            "an acceptance of an earlier offer counts",
        ),
    ),
    Property(
        "HistoryProof",
        "check_theHeadCommitsToTheRecord",
        Mutant(
            "history/History.sol",
            "mstore(add(words, 64), key)",
            "mstore(add(words, 64), 0)",
            "the head does not say which key signed",
        ),
    ),
    Property(
        "MulticallProof",
        "check_multicallIsItsCallsOneByOne",
        Mutant(
            "history/History.sol",
            "results[i] = Address.verifyCallResult(done, answer);",
            "results[i] = done ? answer : bytes('');",
            "a batch goes on after a call that failed",
        ),
    ),
    Property(
        "DeliveryProof",
        "check_deliveryNeedsTheQuantity",
        Mutant(
            "history/Orders.sol",
            "if (i != 0 && lots[i] <= lots[i - 1])",
            "if (i != 0 && lots[i] < lots[i - 1])",
            "a lot that is listed twice counts twice",
        ),
    ),
    Property(
        "GateProof",
        "check_theGateNeedsAPass",
        Mutant(
            "history/Custody.sol",
            "        if (gates != 0) _requireAlone(lot, entry, gates);\n",
            "        gates;\n",
            "the gate is not looked at when custody is accepted",
        ),
    ),
    Property(
        "CertificateProof",
        "check_onlyItsIssuerRevokes",
        Mutant(
            "history/Certificates.sol",
            "        if (issuer != actor.participant) revert CertificateForeign(certificate, issuer);\n",
            "",
            "any inspector revokes another's certificate",
        ),
    ),
    Property(
        "CertificateProof",
        "check_whatIsDemandedShutsTheGate",
        Mutant(
            "history/Certificates.sol",
            "if (reworks != of_.reworks) open = 0;",
            "if (reworks == of_.reworks) open = 0;",
            "a new certificate does away with a demand",
        ),
    ),
    Property(
        "CertificateProof",
        "check_aStolenKeyOpensNoGate",
        Mutant(
            "history/Verdicts.sol",
            "issuedAt >= known.countsFrom && issuedAt < known.countsBefore;",
            "issuedAt >= known.countsFrom;",
            "what a stolen key signed counts",
        ),
    ),
    Property(
        "CertificateProof",
        "check_aDefectiveModelOpensNoGate",
        Mutant(
            "Registry.sol",
            "if (state == ModelState.Approved || state == ModelState.Retired) standsBefore",
            "if (state != ModelState.None) standsBefore",
            "what was certified on a defective model counts",
        ),
    ),
    Property(
        "TransformationProof",
        "check_aGatedLotIsNotRenamed",
        Mutant(
            "history/Transformations.sol",
            "bool bound = tally.order == 0 || inspector != 0;",
            "bool bound = tally.order == 0;",
            "a lot leaves its gate for an order without one",
        ),
    ),
    Property(
        "TransformationProof",
        "check_aReworkVoidsOlderPasses",
        Mutant(
            "history/Transformations.sol",
            "entry.reworks = reworks + 1;",
            "entry.reworks = reworks;",
            "a pass outlives a rework",
        ),
    ),
    Property(
        "EvidenceProof",
        "check_streamsOnlyGrow",
        Mutant(
            "history/Evidence.sol",
            "if (size <= held)",
            "if (size < held)",
            "an anchor replaces the root of as many entries",
        ),
    ),
    Property(
        "WindowProof",
        "check_aWindowIsOfItsLot",
        Mutant(
            "libraries/EvidenceLeaf.sol",
            "bytes.concat(TAG, WINDOW, lot)",
            "bytes.concat(TAG, data[21], lot)",
            "an entry of any kind is taken for a window",
        ),
    ),
    Property(
        "BindingProof",
        "check_workIsFinishedByALaterEntry",
        Mutant(
            "history/Assignments.sol",
            "        if (leafIndex < least) revert AssignmentLeafTooOld(stream, leafIndex, least);\n",
            "",
            "work is finished by what was measured before it",
        ),
    ),
    Property(
        "BindingProof",
        "check_aCertificateNamesWhatIsAnchored",
        Mutant(
            "history/Book.sol",
            "        if (index >= size) revert IEvidence.EvidenceNotAnchored(stream, index, size);\n",
            "",
            "a certificate names an entry that is not anchored",
        ),
    ),
    Property(
        "NoteProof",
        "check_strangersNoteNothing",
        Mutant(
            "history/Notes.sol",
            "if (isLot ? !_isOfLot(subject, lot, ground, participant) :",
            "if (isLot ? false :",
            "anybody notes on a lot",
        ),
    ),
    Property(
        "KeyProof",
        "check_aRecoveryTakesItsTime",
        Mutant(
            "registry/Keys.sol",
            "        _requireDue(participant, recovery);\n        if (recovery.objected && !recovery.overruled)",
            "        if (recovery.objected && !recovery.overruled)",
            "a recovery counts at once",
        ),
    ),
    Property(
        "CouncilProof",
        "check_nothingIsDoneWithoutQuorumAndDelay",
        Mutant(
            "Council.sol",
            "if (--entry.approvals < neededFor(entry.data)) entry.approvedAt = 0;",
            "--entry.approvals;",
            "an approval that was taken back still counts",
        ),
    ),
)
