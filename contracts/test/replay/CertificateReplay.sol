// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {IHistory} from "../../src/interfaces/IHistory.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {OrderReplay} from "./OrderReplay.sol";

/// @notice Certificates as their logs tell them. Whether an opened inference is true is not in the logs: who opens it in a
/// test knows, and compares.
abstract contract CertificateReplay is OrderReplay {
    /// @dev A certificate's record in its lot's history, and what came after it.
    struct Issuing {
        IHistory.Opening opening;
        ICertificates.Issued issued;
    }

    bytes32 public constant CERTIFICATE_FELL = "certificate fell";
    bytes32 public constant DEMAND_MET = "demand met";
    bytes32 public constant CERTIFICATE_LAPSED = "certificate lapsed";
    bytes32 public constant REFUTED_LATE = "refuted late";
    bytes32 public constant REFUTED_INTO_QUARANTINE = "refuted into quarantine";
    bytes32 public constant REFUTED_OUT_OF_QUARANTINE = "refuted out of quarantine";

    bytes32[] internal _allLots;
    mapping(bytes32 lot => ILots.Lot) internal _lots;
    mapping(bytes32 lot => ICertificates.Certificate) internal _certificates;
    mapping(bytes32 lot => bytes32 order) private _certifiedOrders;
    mapping(bytes32 lot => Issuing) private _issuings;
    mapping(uint32 participant => uint256 time) private _demands;

    /// @notice What opens the latest certificate of a lot, whose history the logs gave.
    function issuingOf(bytes32 lot) external view returns (IHistory.Opening memory, ICertificates.Issued memory) {
        return (_issuings[lot].opening, _issuings[lot].issued);
    }

    function _applyCertificate(Entry memory entry) internal returns (bool) {
        if (entry.kind == ICertificates.CertificateIssued.selector) _issue(entry);
        else if (entry.kind == ICertificates.CertificateRevoked.selector) _revoke(entry);
        else if (entry.kind == ICertificates.CertificateUpheld.selector) _uphold(entry);
        else if (entry.kind == ICertificates.CertificateRefuted.selector) _refute(entry);
        else if (entry.kind == ICertificates.OpeningDemanded.selector) _demand(entry);
        else return false;
        return true;
    }

    /// @dev Keeps what an opening will need of a link.
    function _noteLink(Entry memory entry, bytes32 lot, bytes32 previousHead, bytes32 inner) internal {
        if (entry.kind != ICertificates.CertificateIssued.selector) {
            if (_issuings[lot].opening.sequence == 0) return;
            _issuings[lot].opening.later.push(IHistory.Link(entry.kind, inner));
            return;
        }
        Issuing storage issuing = _issuings[lot];
        delete issuing.opening;
        issuing.opening.previousHead = previousHead;
        (issuing.opening.kind, issuing.opening.sequence) = (entry.kind, entry.sequence);
        (issuing.opening.participant, issuing.opening.key) = (entry.participant, entry.key);
        (issuing.opening.digest, issuing.opening.timestamp) = (keccak256(entry.data), uint40(block.timestamp));
        (,, issuing.issued.statement, issuing.issued.anchorSize, issuing.issued.anchorRoot) =
            abi.decode(entry.data, (address, bytes32[], ICertificates.Statement, uint40, bytes32));
    }

    function _compareCertificate(bytes32 lot) internal {
        bool same = _same(abi.encode(_ledger.certificateOf(lot)), abi.encode(_certificates[lot]));
        _hold(Property.Verdicts, same, "certificate differs from its logs");
        if (_statusOf(lot) == ICertificates.CertificateStatus.Unopened) ++count[CERTIFICATE_LAPSED];
        same = _ledger.certificateStatus(lot) == _statusOf(lot);
        _hold(Property.Models, same, "certificate: status is not what its model, state and times say");
    }

    function _afterWithdrawal(uint40 model) internal override {
        for (uint256 i; i < _allLots.length; ++i) {
            if (_certificates[_allLots[i]].model != model) continue;
            ++count[CERTIFICATE_FELL];
            bool valid = _ledger.certificateStatus(_allLots[i]) == ICertificates.CertificateStatus.Valid;
            _hold(Property.Models, !valid, "certificate: valid on a withdrawn model");
        }
    }

    function _statusOf(bytes32 lot) internal view returns (ICertificates.CertificateStatus) {
        ICertificates.Certificate storage certificate = _certificates[lot];
        if (certificate.sequence == 0) return ICertificates.CertificateStatus.None;
        if (certificate.state == ICertificates.CertificateState.Revoked) {
            return ICertificates.CertificateStatus.Revoked;
        }
        if (certificate.state == ICertificates.CertificateState.Refuted) {
            return ICertificates.CertificateStatus.Refuted;
        }
        if (certificate.state == ICertificates.CertificateState.Voided) return ICertificates.CertificateStatus.Voided;
        if (_models[certificate.model].state == IRegistry.ModelState.Withdrawn) {
            return ICertificates.CertificateStatus.Fallen;
        }
        if (_hasLapsed(certificate)) return ICertificates.CertificateStatus.Unopened;
        if (block.timestamp >= certificate.expiresAt) return ICertificates.CertificateStatus.Expired;
        return ICertificates.CertificateStatus.Valid;
    }

    // Issued and revoked

    function _issue(Entry memory entry) private {
        (,, ICertificates.Statement memory statement, uint40 size, bytes32 root) =
            abi.decode(entry.data, (address, bytes32[], ICertificates.Statement, uint40, bytes32));
        _act(entry, entry.participant, Roles.INSPECTOR);
        _requireStatement(entry, statement);
        bool anchored = _streams[statement.stream].machine != 0 && _streams[statement.stream].size == size
            && _streams[statement.stream].root == root;
        _hold(Property.Anchors, anchored && statement.leafIndex < size, "issueCertificate: evidence not anchored");
        _certificates[entry.subject] = ICertificates.Certificate({
            sequence: entry.sequence,
            model: statement.model,
            expiresAt: statement.expiresAt,
            issuer: entry.participant,
            verdict: statement.verdict,
            state: ICertificates.CertificateState.Issued,
            openingDeadline: 0
        });
        _certifiedOrders[entry.subject] = statement.order;
        _follow(entry.subject, statement.verdict == ICertificates.Verdict.Fail, entry.participant);
    }

    function _revoke(Entry memory entry) private {
        (,, uint40 number,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
        ICertificates.Certificate storage certificate = _newest(entry, number);
        _act(entry, certificate.issuer, Roles.INSPECTOR);
        bool fresh = certificate.state != ICertificates.CertificateState.Revoked
            && certificate.state != ICertificates.CertificateState.Refuted
            && certificate.state != ICertificates.CertificateState.Voided;
        _hold(Property.Verdicts, fresh, "revokeCertificate: of one that does not stand");
        certificate.state = ICertificates.CertificateState.Revoked;
    }

    // Opened

    function _uphold(Entry memory entry) private {
        (,, uint40 number, bool executed) = abi.decode(entry.data, (address, bytes32[], uint40, bool));
        ICertificates.Certificate storage certificate = _openable(entry, number);
        _hold(Property.Verdicts, !_hasLapsed(certificate), "challenge: upheld past the deadline");
        bool published = _models[certificate.model].code != address(0);
        _hold(Property.Verdicts, executed == published, "challenge: a published model is executed, and no other");
        if (certificate.state == ICertificates.CertificateState.Demanded) ++count[DEMAND_MET];
        certificate.state = ICertificates.CertificateState.Upheld;
    }

    function _refute(Entry memory entry) private {
        (,, uint40 number, ICertificates.Verdict executed) =
            abi.decode(entry.data, (address, bytes32[], uint40, ICertificates.Verdict));
        ICertificates.Certificate storage certificate = _openable(entry, number);
        bool none = _models[certificate.model].code == address(0);
        bool fits = !none || executed == ICertificates.Verdict.None;
        _hold(Property.Verdicts, fits, "challenge: a verdict of a model that is not published");
        if (_hasLapsed(certificate)) ++count[REFUTED_LATE];
        certificate.state = ICertificates.CertificateState.Refuted;
        ILots.LotState before = _lots[entry.subject].state;
        _follow(entry.subject, executed != ICertificates.Verdict.Pass, certificate.issuer);
        ILots.LotState now_ = _lots[entry.subject].state;
        if (before == now_) return;
        ++count[now_ == ILots.LotState.Quarantined ? REFUTED_INTO_QUARANTINE : REFUTED_OUT_OF_QUARANTINE];
    }

    function _demand(Entry memory entry) private {
        (,, uint40 number, uint40 deadline) = abi.decode(entry.data, (address, bytes32[], uint40, uint40));
        ICertificates.Certificate storage certificate = _newest(entry, number);
        bool issued = certificate.state == ICertificates.CertificateState.Issued;
        _hold(Property.Verdicts, issued, "demandOpening: of one that is not merely issued");
        uint40 order = _lots[entry.subject].order;
        bool buys = order != 0 && _orders[_orderAt[order]].buyer == entry.participant;
        _act(entry, entry.participant, buys ? Roles.BUYER | Roles.AUDITOR : Roles.AUDITOR);
        bool rested = _demands[entry.participant] == 0 || block.timestamp >= _demands[entry.participant] + 3600;
        _hold(Property.Authority, rested, "demandOpening: twice within an hour");
        _demands[entry.participant] = block.timestamp;
        _hold(Property.Verdicts, deadline == block.timestamp + 604_800, "demandOpening: not within seven days");
        (certificate.state, certificate.openingDeadline) = (ICertificates.CertificateState.Demanded, deadline);
    }

    /// @dev A reworked lot's pass counts no more; its number, 0 when none counted.
    function _voidPass(bytes32 lot) internal returns (uint40) {
        ICertificates.Certificate storage found = _certificates[lot];
        bool passes = found.verdict == ICertificates.Verdict.Pass;
        bool over = found.state == ICertificates.CertificateState.Revoked
            || found.state == ICertificates.CertificateState.Refuted
            || found.state == ICertificates.CertificateState.Voided;
        if (!passes || over) return 0;
        found.state = ICertificates.CertificateState.Voided;
        return found.sequence;
    }

    // What must be so

    function _newest(Entry memory entry, uint40 number) private returns (ICertificates.Certificate storage found) {
        found = _certificates[entry.subject];
        _hold(Property.Verdicts, number != 0 && found.sequence == number, "certificate: not the latest");
    }

    function _openable(Entry memory entry, uint40 number) private returns (ICertificates.Certificate storage found) {
        found = _newest(entry, number);
        _act(entry, entry.participant, Roles.ANY);
        bool open = found.state == ICertificates.CertificateState.Issued
            || found.state == ICertificates.CertificateState.Demanded;
        _hold(Property.Verdicts, open, "challenge: of one that is settled");
    }

    function _hasLapsed(ICertificates.Certificate storage certificate) private view returns (bool) {
        return
            certificate.state == ICertificates.CertificateState.Demanded
                && block.timestamp >= certificate.openingDeadline;
    }

    /// @dev The lot goes where a verdict sends it.
    function _follow(bytes32 subject, bool fails, uint32 inspector) private {
        ILots.Lot storage lot = _lots[subject];
        bytes32 order = _certifiedOrders[subject];
        bool gate = order != 0 && _orders[order].inspector == inspector;
        bool quarantined = lot.state == ILots.LotState.Quarantined || lot.state == ILots.LotState.Returning;
        if (lot.state == ILots.LotState.Spent || (fails && quarantined && !gate)) return;
        if (fails) {
            (lot.state, lot.counterparty) = (ILots.LotState.Quarantined, inspector);
        } else if (quarantined && lot.counterparty == inspector) {
            (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
        }
    }

    function _requireStatement(Entry memory entry, ICertificates.Statement memory statement) private {
        uint40 order = _lots[statement.lot].order;
        uint32 inspector = _orders[_orderAt[order]].inspector;
        bool named = order == 0 || inspector == 0 || inspector == entry.participant;
        _hold(Property.Verdicts, named, "issueCertificate: not the gate's inspector");
        IRegistry.Model storage model = _models[statement.model];
        bool approved = model.state == IRegistry.ModelState.Approved;
        _hold(Property.Models, approved, "issueCertificate: model is not approved");
        bool usable = model.open || model.inspector == entry.participant;
        _hold(Property.Models, usable, "issueCertificate: another inspector's model");
        bool full = statement.verdict != ICertificates.Verdict.None && statement.expiresAt > block.timestamp
            && statement.inferenceDigest != 0 && statement.lot == entry.subject;
        _hold(Property.Verdicts, full, "issueCertificate: incomplete");
    }
}
