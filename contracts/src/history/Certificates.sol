// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {IEvidence} from "../interfaces/IEvidence.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";
import {Book} from "./Book.sol";

/// @title Verdicts on lots
abstract contract Certificates is Book, ICertificates {
    /// @inheritdoc ICertificates
    function issueCertificate(Statement calldata statement) external returns (uint40 certificate) {
        Actor memory actor = _actor(Roles.INSPECTOR);
        ILots.Lot storage lot = _existingLot(statement.lot);
        _requireInspector(statement, lot, actor);
        _requireStatement(statement, actor.participant);
        IEvidence.Stream storage stream = _anchored(statement.stream, statement.leafIndex);
        _certificates[statement.lot] = Certificate({
            sequence: _next(),
            model: statement.model,
            expiresAt: statement.expiresAt,
            issuer: actor.participant,
            verdict: statement.verdict,
            state: CertificateState.Issued,
            openingDeadline: 0
        });
        _applyVerdict(lot, statement.order, statement.verdict, actor.participant);
        bytes memory data = abi.encode(actor.key, _touching(statement.lot), statement, stream.size, stream.root);
        return _recordOne(CertificateIssued.selector, actor, statement.lot, data);
    }

    /// @inheritdoc ICertificates
    function revokeCertificate(bytes32 lot, uint40 certificate, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.INSPECTOR);
        Certificate storage entry = _standing(lot, certificate);
        if (entry.issuer != actor.participant) revert CertificateForeign(lot, entry.issuer);
        entry.state = CertificateState.Revoked;
        _recordPair(CertificateRevoked.selector, actor, lot, certificate, reasonRoot);
    }

    /// @inheritdoc ICertificates
    function certificateOf(bytes32 lot) external view returns (Certificate memory) {
        return _certificates[lot];
    }

    /// @inheritdoc ICertificates
    function certificateStatus(bytes32 lot) external view returns (CertificateStatus) {
        Certificate storage entry = _certificates[lot];
        return _statusOf(entry.state, entry.model, entry.expiresAt, entry.openingDeadline);
    }

    /// @dev The lot's latest certificate, when it is `certificate` and neither revoked, refuted nor voided.
    function _standing(bytes32 lot, uint40 certificate) internal view returns (Certificate storage entry) {
        entry = _certificates[lot];
        if (certificate == 0 || entry.sequence != certificate) {
            revert CertificateNotLatest(lot, certificate, entry.sequence);
        }
        CertificateState state = entry.state;
        if (state > CertificateState.Upheld) {
            // revoked, refuted or voided, for good
            revert CertificateStateWrong(lot, certificate, state);
        }
    }

    function _requireInspector(Statement calldata statement, ILots.Lot storage lot, Actor memory actor) private view {
        _requireOrder(statement.lot, lot, statement.order);
        if (statement.order == 0) return;
        uint32 inspector = _orders[statement.order].inspector;
        if (inspector != 0 && inspector != actor.participant) {
            revert CertificateInspectorWrong(statement.lot, inspector);
        }
    }

    function _requireStatement(Statement calldata statement, uint32 issuer) private view {
        if (statement.verdict == Verdict.None) revert CertificateVerdictMissing();
        if (statement.expiresAt <= block.timestamp) revert CertificateExpiryPast(statement.expiresAt);
        if (statement.inferenceDigest == 0) revert CertificateDigestMissing();
        (IRegistry.ModelState state, bool usable) = registry.modelFor(statement.model, issuer);
        if (state != IRegistry.ModelState.Approved) revert CertificateModelUnfit(statement.model);
        if (!usable) revert CertificateModelClosed(statement.model, issuer);
    }

    /// @dev A failing verdict quarantines, in the inspector's name; a passing one lifts that inspector's quarantine.
    /// Only the gate's inspector takes over a quarantine that somebody else imposed: any other could lift it by failing
    /// the lot first and passing it then. A spent lot keeps its state: results may come late.
    function _applyVerdict(ILots.Lot storage lot, bytes32 order, Verdict verdict, uint32 inspector) internal {
        (ILots.LotState state, uint32 by) = (lot.state, lot.counterparty);
        if (state == ILots.LotState.Spent) return;
        bool apart = state == ILots.LotState.Quarantined || state == ILots.LotState.Returning;
        if (verdict == Verdict.Fail) {
            bool gated = order != 0 && _orders[order].inspector == inspector;
            if (apart && !gated) return;
            (lot.state, lot.counterparty) = (ILots.LotState.Quarantined, inspector);
        } else if (apart && by == inspector) {
            (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
        }
    }
}
