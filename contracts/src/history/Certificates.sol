// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {ICustody} from "../interfaces/ICustody.sol";
import {IEvidence} from "../interfaces/IEvidence.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {IRegistry} from "../interfaces/IRegistry.sol";
import {Roles} from "../libraries/Roles.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Verdicts on lots
abstract contract Certificates is Verdicts, ICertificates {
    /// @dev What a certificate needs of one of its lots.
    struct Certified {
        uint40 number;
        uint8 reworks;
        /// Whether the issuer is the inspector of a gate of its order.
        bool inspects;
    }

    uint256 private constant MOST_LOTS = 64;

    /// @inheritdoc ICertificates
    function issueCertificate(Statement calldata statement) external returns (uint40 certificate) {
        Actor memory actor = _actor(Roles.INSPECTOR);
        _requireStatement(statement, actor.participant);
        IEvidence.Stream storage stream = _anchored(statement.stream, statement.leafIndex);
        certificate = _next();
        (bytes32[] memory lots, Certified memory first) = _certifyAll(statement, actor, certificate);
        _certificates[certificate] = Certificate({
            lot: first.number,
            model: statement.model,
            issuedAt: uint40(block.timestamp),
            expiresAt: statement.expiresAt,
            openingDeadline: 0,
            issuer: actor.participant,
            reworks: first.reworks,
            verdict: statement.verdict,
            state: CertificateState.Issued
        });
        bytes memory data = abi.encode(actor.key, lots, statement, stream.size, stream.root);
        _issues[certificate] = statement.model == 0 ? keccak256(abi.encode(lots)) : keccak256(data);
        _record(CertificateIssued.selector, actor, lots[0], lots, data);
    }

    /// @inheritdoc ICertificates
    function revokeCertificate(bytes32[] calldata lots, uint40 certificate, bytes32 reasonRoot) external {
        Actor memory actor = _actor(Roles.INSPECTOR);
        Certificate storage entry = _certificates[certificate];
        (uint32 issuer, CertificateState state) = (entry.issuer, entry.state);
        if (state == CertificateState.None) revert CertificateUnknown(certificate);
        if (issuer != actor.participant) revert CertificateForeign(certificate, issuer);
        if (state > CertificateState.Upheld) revert CertificateStateWrong(certificate, state); // revoked or refuted
        _requireLots(lots, certificate, entry);
        entry.state = CertificateState.Revoked;
        _record(CertificateRevoked.selector, actor, lots[0], lots, abi.encode(actor.key, lots, certificate, reasonRoot));
    }

    /// @inheritdoc ICertificates
    function certificateOf(uint40 certificate) external view returns (Certificate memory) {
        return _certificates[certificate];
    }

    /// @inheritdoc ICertificates
    function certificateStatus(uint40 certificate) external view returns (CertificateStatus) {
        return _statusOf(certificate);
    }

    /// @inheritdoc ICertificates
    function standingOf(bytes32 lot, uint32 inspector) external view returns (Standing memory) {
        return _standings[lot][inspector];
    }

    /// @dev The lot goes where a verdict of a gate's inspector sends it. A spent lot keeps its state: results may come late.
    /// @param certificate Behind a quarantine that the issuer may not hold on to once it stops counting; 0 for none.
    /// @param liftable Whether a pass lifts the inspector's quarantine of the lot.
    function _applyVerdict(bytes32 lot, Verdict verdict, uint32 inspector, uint40 certificate, bool liftable) internal {
        ILots.Lot storage entry = _lots[lot];
        (ILots.LotState state, uint32 by) = (entry.state, entry.counterparty);
        if (state == ILots.LotState.Spent) return;
        if (verdict == Verdict.Fail) {
            _quarantineAs(lot, entry, inspector, certificate);
        } else if (_isApart(state) && by == inspector && liftable) {
            (entry.state, entry.counterparty) = (ILots.LotState.Held, 0);
        }
    }

    /// @return lots Of the statement.
    /// @return first The first one's number, and how often it was reworked.
    function _certifyAll(Statement calldata statement, Actor memory actor, uint40 certificate)
        private
        returns (bytes32[] memory lots, Certified memory first)
    {
        uint256 count = statement.items.length;
        uint256 most = statement.model == 0 ? MOST_LOTS : 1;
        if (count == 0 || count > most) revert CertificateLotsWrong(count, most);
        lots = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            ICustody.Item calldata item = statement.items[i];
            if (i != 0 && item.lot <= lots[i - 1]) revert ILots.LotsNotAscending(item.lot);
            lots[i] = item.lot;
            Certified memory lot = _certifiable(item, actor.participant);
            if (i == 0) first = lot;
            _certify(item.lot, lot, actor, certificate);
            if (lot.inspects) _applyVerdict(item.lot, statement.verdict, actor.participant, certificate, true);
        }
    }

    /// @dev Reads lot and order once each: every certificate pays for it.
    function _certifiable(ICustody.Item calldata item, uint32 inspector) private view returns (Certified memory lot) {
        ILots.Lot storage entry = _lots[item.lot];
        uint40 belongsTo;
        (lot.number, belongsTo, lot.reworks) = (entry.number, entry.order, entry.reworks);
        if (lot.number == 0) revert ILots.LotUnknown(item.lot);
        uint40 given;
        if (item.order != 0) {
            IOrders.Order storage order = _orders[item.order];
            uint32 named;
            (given, named) = (order.sequence, order.inspector);
            if (given == 0) revert IOrders.OrderUnknown(item.order);
            // Not asked of every lot: of fifty, a call each would exceed their gas bar.
            lot.inspects = named == inspector || (named == SEVERAL && _isGateOf(item.order, named, inspector));
        }
        if (given != belongsTo) revert ILots.LotOrderWrong(item.lot, item.order, belongsTo);
    }

    /// @dev What was open stays open, whatever is issued. The certificate before, when it was handed on from another lot,
    /// is counted there, and here from now on, when it is not the latest any more.
    function _certify(bytes32 lot, Certified memory of_, Actor memory actor, uint40 certificate) private {
        Standing storage standing = _standings[lot][actor.participant];
        (uint40 latest, uint8 open, uint8 reworks) = (standing.latest, standing.open, standing.reworks);
        if (latest != 0) {
            if (reworks != of_.reworks) open = 0;
            else if (_certificates[latest].lot != of_.number && _isOpen(latest)) open = _more(open);
        }
        (standing.latest, standing.open, standing.reworks, standing.key) = (certificate, open, of_.reworks, actor.key);
    }

    function _requireStatement(Statement calldata statement, uint32 issuer) private view {
        if (statement.verdict == Verdict.None) revert CertificateVerdictMissing();
        if (statement.expiresAt <= block.timestamp) revert CertificateExpiryPast(statement.expiresAt);
        if (statement.inferenceDigest == 0) revert CertificateDigestMissing();
        if (statement.model == 0) return;
        (IRegistry.ModelState state, bool usable) = registry.modelFor(statement.model, issuer);
        if (state != IRegistry.ModelState.Approved) revert CertificateModelUnfit(statement.model);
        if (!usable) revert CertificateModelClosed(statement.model, issuer);
    }

    /// @dev Reverts unless `lots` are those of the certificate.
    function _requireLots(bytes32[] calldata lots, uint40 certificate, Certificate storage entry) private view {
        bool same = entry.model == 0
            ? keccak256(abi.encode(lots)) == _issues[certificate]
            : lots.length == 1 && _lots[lots[0]].number == entry.lot;
        if (!same) revert CertificateOfOtherLots(certificate);
    }
}
