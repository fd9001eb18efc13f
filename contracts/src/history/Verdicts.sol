// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../interfaces/ICertificates.sol";
import {ICustody} from "../interfaces/ICustody.sol";
import {IGates} from "../interfaces/IGates.sol";
import {ILots} from "../interfaces/ILots.sol";
import {IOrders} from "../interfaces/IOrders.sol";
import {Gates} from "../libraries/Gates.sol";
import {Roles} from "../libraries/Roles.sol";
import {Book} from "./Book.sol";

/// @title What certificates amount to: at a gate, for a quarantine, and for lots that are split off
abstract contract Verdicts is Book {
    /// @dev As long as a recovery of keys takes: who only lost them is back by then.
    uint40 private constant ABSENCE_PERIOD = 14 days;

    /// @dev What a gate asks for, and what it finds.
    struct Passage {
        uint40 certificate;
        uint8 open;
        /// Whether the issuer may inspect now, and its key was its own when it signed.
        bool inStanding;
        ICertificates.CertificateStatus status;
        ICertificates.Verdict verdict;
        uint40 certifiedOn;
    }

    /// @dev What the registry says of a key and a model; of none of both, zeros. Kept from one lot of a consignment to the
    /// next, because most have both in common.
    struct Issuance {
        address key;
        uint40 model;
        /// Whether the key's participant may inspect now.
        bool inspects;
        uint40 countsFrom;
        uint40 countsBefore;
        uint40 standsBefore;
    }

    /// @dev Whether a certificate counts, whoever issued it.
    function _statusOf(uint40 certificate) internal view returns (ICertificates.CertificateStatus) {
        ICertificates.Certificate storage entry = _certificates[certificate];
        (ICertificates.CertificateState state, uint40 model, uint40 issuedAt) =
            (entry.state, entry.model, entry.issuedAt);
        bool stands = model == 0;
        if (!stands) {
            (,,,, uint40 standsBefore) = registry.issuanceOf(address(0), model);
            stands = issuedAt < standsBefore;
        }
        return _judge(state, stands, entry.expiresAt, entry.openingDeadline);
    }

    /// @dev Whether a certificate was demanded or refuted and not upheld: what `Standing.open` counts.
    function _isOpen(uint40 certificate) internal view returns (bool) {
        ICertificates.Certificate storage entry = _certificates[certificate];
        (ICertificates.CertificateState state, uint40 deadline) = (entry.state, entry.openingDeadline);
        if (state == ICertificates.CertificateState.Refuted) return true;
        return deadline != 0 && state != ICertificates.CertificateState.Upheld;
    }

    /// @dev Whether the participant is the inspector of a gate of the order.
    function _inspects(bytes32 order, uint32 participant) internal view returns (bool) {
        return order != 0 && _isGateOf(order, _orders[order].inspector, participant);
    }

    /// @dev Reverts unless what each gate's inspector certified of the lot opens that gate.
    /// @param reworks Of the lot.
    /// @param known What the registry was asked last.
    function _requirePassages(bytes32 lot, uint8 reworks, uint256 gates, Issuance memory known) internal view {
        for (; gates != 0; gates = Gates.rest(gates)) {
            (uint32 inspector, uint40 model) = Gates.first(gates);
            _requirePassage(lot, reworks, inspector, model, known);
        }
    }

    function _requirePassage(bytes32 lot, uint8 reworks, uint32 inspector, uint40 model, Issuance memory known)
        private
        view
    {
        Passage memory found = _passageOf(lot, reworks, inspector, known);
        bool passes = found.status == ICertificates.CertificateStatus.Valid
            && found.verdict == ICertificates.Verdict.Pass && found.certifiedOn == model;
        if (passes && found.open == 0 && found.inStanding) return;
        // Read only here, so that lots that pass pay nothing for it.
        if (_isWaived(lot, inspector)) return;
        _refuse(lot, inspector, model, found);
    }

    function _refuse(bytes32 lot, uint32 inspector, uint40 model, Passage memory found) private pure {
        revert ICustody.GateClosed(
            lot,
            inspector,
            model,
            found.certificate,
            found.status,
            found.verdict,
            found.certifiedOn,
            found.open,
            found.inStanding
        );
    }

    function _passageOf(bytes32 lot, uint8 reworks, uint32 inspector, Issuance memory known)
        private
        view
        returns (Passage memory found)
    {
        ICertificates.Standing storage standing = _standings[lot][inspector];
        address key;
        uint8 certified;
        (found.certificate, found.open, key, certified) =
        (standing.latest, standing.open, standing.key, standing.reworks);
        if (found.certificate == 0) return found;
        ICertificates.Certificate storage entry = _certificates[found.certificate];
        (found.certifiedOn, found.verdict) = (entry.model, entry.verdict);
        if (key != known.key || found.certifiedOn != known.model) _ask(known, key, found.certifiedOn);
        (ICertificates.CertificateState state, uint40 issuedAt, uint40 expiresAt, uint40 deadline) =
            (entry.state, entry.issuedAt, entry.expiresAt, entry.openingDeadline);
        // One that was handed on is counted on the lot that it is about, and is as open here.
        if (state == ICertificates.CertificateState.Demanded && found.open == 0) found.open = 1;
        found.inStanding = known.inspects && issuedAt >= known.countsFrom && issuedAt < known.countsBefore;
        found.status = certified != reworks
            ? ICertificates.CertificateStatus.Voided
            : _judge(state, found.certifiedOn == 0 || issuedAt < known.standsBefore, expiresAt, deadline);
    }

    function _ask(Issuance memory known, address key, uint40 model) private view {
        (known.key, known.model) = (key, model);
        uint16 roles;
        (, roles, known.countsFrom, known.countsBefore, known.standsBefore) = registry.issuanceOf(key, model);
        known.inspects = roles & Roles.INSPECTOR != 0;
    }

    /// @dev Whether the buyer of the lot's order waived the inspector's gate for it as it is: no certificate of that
    /// inspector and no rework came after. Another order that the lot joins has a buyer of its own.
    function _isWaived(bytes32 lot, uint32 inspector) internal view returns (bool) {
        IGates.Waiver storage waiver = _waivers[lot][inspector];
        (uint40 order, uint40 certificate, uint8 reworks) = (waiver.order, waiver.certificate, waiver.reworks);
        ILots.Lot storage entry = _lots[lot];
        return order != 0 && order == entry.order && reworks == entry.reworks
            && certificate == _standings[lot][inspector].latest;
    }

    /// @dev Whether the custodian may lift the quarantine that `by` imposed on a lot of `order`: once the certificate behind
    /// it does not count any more, or, when there is none, `by` is gone; once the buyer waived that inspector's gate for
    /// the lot; or the order is delivered.
    function _isLiftable(bytes32 lot, bytes32 order, uint32 by) internal view returns (bool) {
        if (order != 0 && _orders[order].state == IOrders.OrderState.Delivered) return true;
        uint40 certificate = _standings[lot][by].quarantining;
        bool stands = certificate == 0
            ? registry.rolesOf(by) != 0
            : _statusOf(certificate) == ICertificates.CertificateStatus.Valid;
        return !stands || _isWaived(lot, by);
    }

    /// @dev Gives a lot that was split off `from` what the inspectors of their order's gates certified of that: not what a
    /// rework voided, and no waiver.
    function _handOn(bytes32 from, bytes32 to, bytes32 order) internal {
        if (order == 0) return;
        IOrders.Order storage of_ = _orders[order];
        uint256 gates = _gatesOf(order, of_.inspector, of_.model);
        for (; gates != 0; gates = Gates.rest(gates)) {
            (uint32 inspector,) = Gates.first(gates);
            _handOnOf(from, to, inspector);
        }
    }

    /// @dev Whether the latest certificate is open shows in itself, so it is not counted again.
    function _handOnOf(bytes32 from, bytes32 to, uint32 inspector) private {
        ICertificates.Standing storage standing = _standings[from][inspector];
        (uint40 latest, uint8 open, uint8 reworks, address key) =
            (standing.latest, standing.open, standing.reworks, standing.key);
        if (latest == 0 || reworks != _lots[from].reworks) return;
        if (_isOpen(latest)) open = _less(open);
        _standings[to][inspector] =
            ICertificates.Standing({latest: latest, quarantining: 0, open: open, reworks: 0, key: key});
    }

    /// @dev Whether the lot is quarantined, also on its way back to its maker.
    function _isApart(ILots.LotState state) internal pure returns (bool) {
        return state == ILots.LotState.Quarantined || state == ILots.LotState.Returning;
    }

    function _isOffered(ILots.LotState state) internal pure returns (bool) {
        return state == ILots.LotState.Offered || state == ILots.LotState.Returning;
    }

    /// @dev What the lot is when it is not offered; who quarantined it is kept.
    function _endOffer(ILots.Lot storage entry, ILots.LotState state) internal {
        if (state == ILots.LotState.Returning) entry.state = ILots.LotState.Quarantined;
        else (entry.state, entry.counterparty) = (ILots.LotState.Held, 0);
    }

    /// @dev Reverts unless the custodian `from` has not been able to act for long, and `to` may take over from it.
    function _requireReclaimable(bytes32 lot, bytes32 order, uint32 from, uint32 to) internal view {
        (uint40 since, uint32 trustee) = registry.absenceOf(from);
        if (since == 0 || block.timestamp < since + ABSENCE_PERIOD) {
            revert ICustody.CustodyNotReclaimable(lot, from, since);
        }
        IOrders.Order storage of_ = _orders[order];
        bool party = order != 0 && (of_.buyer == to || of_.coordinator == to);
        if (!party && trustee != to) revert ICustody.CustodyReclaimForeign(lot, to, trustee);
    }

    function _more(uint8 open) internal pure returns (uint8) {
        return open == type(uint8).max ? open : open + 1;
    }

    /// @dev Of so many that they were not counted any more, none is ever taken off.
    function _less(uint8 open) internal pure returns (uint8) {
        return open == 0 || open == type(uint8).max ? open : open - 1;
    }

    function _quarantineAs(bytes32 lot, ILots.Lot storage entry, uint32 by, uint40 certificate) internal {
        (entry.state, entry.counterparty) = (ILots.LotState.Quarantined, by);
        ICertificates.Standing storage standing = _standings[lot][by];
        if (standing.quarantining != certificate) standing.quarantining = certificate;
    }

    function _judge(ICertificates.CertificateState state, bool stands, uint40 expiresAt, uint40 deadline)
        private
        view
        returns (ICertificates.CertificateStatus)
    {
        if (state == ICertificates.CertificateState.None) return ICertificates.CertificateStatus.None;
        if (state == ICertificates.CertificateState.Revoked) return ICertificates.CertificateStatus.Revoked;
        if (state == ICertificates.CertificateState.Refuted) return ICertificates.CertificateStatus.Refuted;
        if (!stands) return ICertificates.CertificateStatus.Fallen;
        if (state == ICertificates.CertificateState.Demanded && deadline <= block.timestamp) {
            return ICertificates.CertificateStatus.Unopened;
        }
        if (expiresAt <= block.timestamp) return ICertificates.CertificateStatus.Expired;
        return ICertificates.CertificateStatus.Valid;
    }
}
