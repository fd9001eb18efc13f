// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {ICustody} from "../interfaces/ICustody.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {EvidenceLeaf} from "../libraries/EvidenceLeaf.sol";
import {Roles} from "../libraries/Roles.sol";
import {Subjects} from "../libraries/Subjects.sol";
import {Certificates} from "./Certificates.sol";

/// @title Certificates opened, and demanded to be
abstract contract Challenges is Certificates {
    /// @dev Long enough to find the measured data of one part in an archive.
    uint40 private constant OPENING_PERIOD = 7 days;
    /// @dev Between two demands of one participant: an opening gives measured data away.
    uint40 private constant DEMAND_PERIOD = 1 hours;
    bytes private constant CONTEXT_TAG = "millmark.inference-context.v1\x00";

    /// @inheritdoc ICertificates
    function challenge(
        uint40 certificate,
        address key,
        Issued calldata issued,
        Inference calldata inference,
        Measured calldata measured
    ) external {
        Actor memory actor = _actor(Roles.ANY);
        CertificateState state = _openable(certificate);
        if (state == CertificateState.Upheld) revert CertificateStateWrong(certificate, state);
        ICustody.Item calldata item = _requireIssued(certificate, key, issued);
        (bool right, Verdict executed) = _examine(issued, inference, measured);
        if (right) _uphold(item.lot, certificate, actor, executed != Verdict.None);
        else _refute(item, certificate, actor, executed);
    }

    /// @inheritdoc ICertificates
    function demandOpening(bytes32 lot, bytes32 ground, uint40 certificate) external {
        Actor memory actor = _actor(Roles.ANY);
        ILots.Lot storage entry = _existingLot(lot);
        CertificateState state = _openable(certificate);
        if (state != CertificateState.Issued) revert CertificateStateWrong(certificate, state);
        Certificate storage demanded = _certificates[certificate];
        if (demanded.lot != entry.number) revert CertificateOfOtherLots(certificate);
        bool pass = demanded.verdict == Verdict.Pass;
        bool may = pass ? _mayDoubtPass(entry, ground, actor) : _mayDoubtFail(lot, entry, ground, actor);
        if (!may && actor.roles & Roles.AUDITOR == 0) revert CertificateDemanderUnfit(certificate, actor.participant);
        _spendDemand(actor.participant);
        uint40 deadline = uint40(block.timestamp) + OPENING_PERIOD;
        (demanded.state, demanded.openingDeadline) = (CertificateState.Demanded, deadline);
        _count(lot, certificate, demanded.issuer, true);
        _recordPair(OpeningDemanded.selector, actor, lot, certificate, bytes32(uint256(deadline)));
    }

    /// @dev The state of a certificate that has an inference and is not refuted.
    function _openable(uint40 certificate) private view returns (CertificateState state) {
        Certificate storage entry = _certificates[certificate];
        uint40 model;
        (state, model) = (entry.state, entry.model);
        if (state == CertificateState.None) revert CertificateUnknown(certificate);
        if (model == 0) revert CertificateByProcedure(certificate);
        if (state == CertificateState.Refuted) revert CertificateStateWrong(certificate, state);
    }

    /// @dev Whoever is to rely on it. Not who carries the goods, who could hold them up at the gate by that.
    function _mayDoubtPass(ILots.Lot storage lot, bytes32 order, Actor memory actor) private view returns (bool) {
        IOrders.Order storage of_ = _orders[order];
        if (lot.order == 0 || of_.sequence != lot.order) return false;
        return (of_.buyer == actor.participant && actor.roles & Roles.BUYER != 0)
            || (of_.coordinator == actor.participant && actor.roles & Roles.COORDINATOR != 0);
    }

    /// @dev Whoever loses by it: the custodian, and the maker, which shows that by the hash of the identifier.
    function _mayDoubtFail(bytes32 subject, ILots.Lot storage lot, bytes32 identifierHash, Actor memory actor)
        private
        view
        returns (bool)
    {
        if (!lot.packed && lot.holder == actor.participant) return true;
        return Subjects.derive(Subjects.Kind.Lot, actor.participant, identifierHash) == subject;
    }

    function _spendDemand(uint32 participant) private {
        uint40 again = _lastDemands[participant] + DEMAND_PERIOD;
        if (block.timestamp < again) revert CertificateDemandTooSoon(participant, again);
        _lastDemands[participant] = uint40(block.timestamp);
    }

    /// @dev One more or one less of the issuer's certificates on the lot is open; none that is about the lot before it was
    /// reworked.
    function _count(bytes32 lot, uint40 certificate, uint32 issuer, bool more) private {
        if (_isReworkedSince(lot, certificate)) return;
        Standing storage standing = _standings[lot][issuer];
        standing.open = more ? _more(standing.open) : _less(standing.open);
    }

    /// @dev Whether the certificate is about its lot as it was before a rework.
    function _isReworkedSince(bytes32 lot, uint40 certificate) private view returns (bool) {
        return _certificates[certificate].reworks != _lots[lot].reworks;
    }

    /// @dev A revoked one stays revoked: its issuer opens it first.
    function _uphold(bytes32 lot, uint40 certificate, Actor memory actor, bool executed) private {
        Certificate storage entry = _certificates[certificate];
        (CertificateState state, uint40 deadline) = (entry.state, entry.openingDeadline);
        if (state == CertificateState.Revoked) revert CertificateStateWrong(certificate, state);
        if (state == CertificateState.Demanded) {
            if (deadline <= block.timestamp) revert CertificateOpeningLate(certificate, deadline);
            _count(lot, certificate, entry.issuer, false);
        }
        entry.state = CertificateState.Upheld;
        _recordPair(CertificateUpheld.selector, actor, lot, certificate, bytes32(uint256(executed ? 1 : 0)));
    }

    /// @dev The lot follows the execution, when the issuer is still a gate's inspector and it was not reworked since. What
    /// the refutation lifts is only what the certificate imposed; what it imposes stands on no certificate.
    function _refute(ICustody.Item calldata item, uint40 certificate, Actor memory actor, Verdict executed) private {
        Certificate storage entry = _certificates[certificate];
        if (entry.openingDeadline == 0) _count(item.lot, certificate, entry.issuer, true);
        entry.state = CertificateState.Refuted;
        uint32 issuer = entry.issuer;
        bool moves = _inspects(item.order, issuer) && _lots[item.lot].order == _orders[item.order].sequence
            && !_isReworkedSince(item.lot, certificate);
        // Nothing is known of a lot that was failed on what cannot be executed, or on another's measurement: its custodian
        // may release it.
        if (moves && (executed != Verdict.None || entry.verdict == Verdict.Pass)) {
            bool imposed = _standings[item.lot][issuer].quarantining == certificate;
            Verdict verdict = executed == Verdict.Pass ? Verdict.Pass : Verdict.Fail;
            _applyVerdict(item.lot, verdict, issuer, 0, imposed);
        }
        _recordPair(CertificateRefuted.selector, actor, item.lot, certificate, bytes32(uint256(executed)));
    }

    /// @dev Reverts unless `issued` is what the certificate's record says.
    /// @return item The certificate's lot.
    function _requireIssued(uint40 certificate, address key, Issued calldata issued)
        private
        view
        returns (ICustody.Item calldata item)
    {
        bytes32 kept = _issues[certificate];
        if (issued.statement.items.length != 1) revert CertificateDataWrong(0, kept);
        item = issued.statement.items[0];
        bytes32 computed =
            keccak256(abi.encode(key, _touching(item.lot), issued.statement, issued.anchorSize, issued.anchorRoot));
        if (computed != kept) revert CertificateDataWrong(computed, kept);
    }

    /// @dev Reverts unless the leaf is the one at the statement's index and, when it is a window of the lot, the statement's
    /// digest commits to the inference.
    /// @return right Whether the leaf is the stated one, a window of the lot and that of the inference; and the inference
    /// says what was stated, and the model, where it is on chain, the same.
    /// @return executed What the model says; None when it was not asked, the window is invalid for it, or it is not on chain.
    function _examine(Issued calldata issued, Inference calldata inference, Measured calldata measured)
        private
        view
        returns (bool right, Verdict executed)
    {
        Statement calldata statement = issued.statement;
        bytes32 leaf = _requireProven(issued, measured);
        if (leaf != statement.leafHash || !EvidenceLeaf.isWindowOf(measured.leaf, statement.items[0].lot)) {
            return (false, Verdict.None);
        }
        bytes32 commitment;
        (commitment, right, executed) = _execute(statement, inference);
        if (commitment != EvidenceLeaf.commitmentOf(measured.leaf)) return (false, Verdict.None);
    }

    function _requireProven(Issued calldata issued, Measured calldata measured) private pure returns (bytes32 leaf) {
        leaf = EvidenceLeaf.hashOf(measured.leaf);
        bytes32 root = EvidenceLeaf.rootOf(leaf, issued.statement.leafIndex, issued.anchorSize, measured.proof);
        if (root != issued.anchorRoot) revert CertificateLeafUnproven(root, issued.anchorRoot);
    }

    function _execute(Statement calldata statement, Inference calldata inference)
        private
        view
        returns (bytes32 commitment, bool right, Verdict executed)
    {
        bytes memory parts = abi.encode(
            block.chainid,
            address(this),
            statement.items[0].lot,
            statement.stream,
            statement.leafIndex,
            statement.leafHash
        );
        bytes32 context = sha256(bytes.concat(CONTEXT_TAG, parts));
        IRegistry.Model memory model = registry.modelOf(statement.model);
        bytes32 digest;
        (digest, commitment, right, executed) =
            registry.evaluator().examine(context, model.digest, model.code, inference);
        if (digest != statement.inferenceDigest) revert CertificateInferenceWrong(digest, statement.inferenceDigest);
        right = right && inference.verdict == uint8(statement.verdict);
    }
}
