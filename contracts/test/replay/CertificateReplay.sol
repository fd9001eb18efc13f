// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {OrderReplay} from "./OrderReplay.sol";

/// @notice Certificates as their logs tell them. Whether an opened inference is true is not in the logs: who opens it in a
/// test knows, and compares.
abstract contract CertificateReplay is OrderReplay {
    /// @dev What issued a certificate.
    struct Issuing {
        bytes32[] lots;
        /// The order of the first, as stated.
        bytes32 order;
        bytes data;
    }

    bytes32 public constant CERTIFICATE_FELL = "certificate fell";
    bytes32 public constant DEMAND_MET = "demand met";
    bytes32 public constant CERTIFICATE_LAPSED = "certificate lapsed";
    bytes32 public constant REFUTED_LATE = "refuted late";
    bytes32 public constant REFUTED_INTO_QUARANTINE = "refuted into quarantine";
    bytes32 public constant REFUTED_OUT_OF_QUARANTINE = "refuted out of quarantine";
    bytes32 public constant OLDER_REFUTED = "older refuted";
    bytes32 public constant CERTIFIED_BY_PROCEDURE = "certified by procedure";

    bytes32[] internal _allLots;
    uint40[] internal _allCertificates;
    mapping(bytes32 lot => ILots.Lot) internal _lots;
    /// @dev Who brought it into the ledger.
    mapping(bytes32 lot => uint32) internal _makerOf;
    mapping(uint40 certificate => ICertificates.Certificate) internal _certificates;
    mapping(bytes32 lot => mapping(uint32 inspector => ICertificates.Standing)) internal _standings;
    mapping(bytes32 lot => uint40) internal _reworks;
    mapping(bytes32 lot => uint32[]) private _inspectorsOf;
    mapping(uint40 certificate => Issuing) private _issuings;
    /// @dev Whether a certificate of that inspector is of that lot, of several of the first.
    mapping(uint32 inspector => mapping(bytes32 lot => bool)) internal _hasIssued;
    mapping(uint32 participant => uint256 time) private _demands;

    /// @notice What opens a certificate: the key that issued it, and the record's data.
    function issuedOf(uint40 certificate) external view returns (address key, ICertificates.Issued memory issued) {
        Issuing storage issuing = _issuings[certificate];
        if (issuing.data.length == 0) return (key, issued);
        (key,, issued.statement, issued.anchorSize, issued.anchorRoot) =
            abi.decode(issuing.data, (address, bytes32[], ICertificates.Statement, uint40, bytes32));
    }

    /// @notice The lots of a certificate.
    function lotsOf(uint40 certificate) external view returns (bytes32[] memory) {
        return _issuings[certificate].lots;
    }

    function _applyCertificate(Entry memory entry, bytes32[] memory histories) internal returns (bool) {
        if (entry.kind == ICertificates.CertificateIssued.selector) _issue(entry, histories);
        else if (entry.kind == ICertificates.CertificateRevoked.selector) _revoke(entry, histories);
        else if (entry.kind == ICertificates.CertificateUpheld.selector) _uphold(entry);
        else if (entry.kind == ICertificates.CertificateRefuted.selector) _refute(entry);
        else if (entry.kind == ICertificates.OpeningDemanded.selector) _demand(entry);
        else return false;
        return true;
    }

    /// @dev All that was certified of the lot.
    function _compareCertificates(bytes32 lot) internal {
        for (uint256 i; i < _inspectorsOf[lot].length; ++i) {
            uint32 inspector = _inspectorsOf[lot][i];
            ICertificates.Standing storage standing = _standings[lot][inspector];
            bool same = _same(abi.encode(_ledger.standingOf(lot, inspector)), abi.encode(standing));
            _hold(Property.Verdicts, same, "standing differs from its logs");
            if (standing.latest != 0) _compareCertificate(standing.latest);
        }
    }

    function _compareCertificate(uint40 number) private {
        bool same = _same(abi.encode(_ledger.certificateOf(number)), abi.encode(_certificates[number]));
        _hold(Property.Verdicts, same, "certificate differs from its logs");
        if (_statusOf(number) == ICertificates.CertificateStatus.Unopened) ++count[CERTIFICATE_LAPSED];
        same = _ledger.certificateStatus(number) == _statusOf(number);
        _hold(Property.Models, same, "certificate: status is not what its model, state and times say");
    }

    function _compareAllCertificates() internal {
        for (uint256 i; i < _allCertificates.length; ++i) {
            _compareCertificate(_allCertificates[i]);
        }
    }

    function _afterWithdrawal(uint40 model) internal override {
        for (uint256 i; i < _allCertificates.length; ++i) {
            ICertificates.Certificate storage certificate = _certificates[_allCertificates[i]];
            if (certificate.model != model) continue;
            if (certificate.issuedAt < _models[model].defectiveSince) continue;
            ++count[CERTIFICATE_FELL];
            bool valid = _ledger.certificateStatus(_allCertificates[i]) == ICertificates.CertificateStatus.Valid;
            _hold(Property.Models, !valid, "certificate: valid on a withdrawn model");
        }
    }

    function _statusOf(uint40 number) internal view returns (ICertificates.CertificateStatus) {
        ICertificates.Certificate storage certificate = _certificates[number];
        if (certificate.issuer == 0) return ICertificates.CertificateStatus.None;
        if (certificate.state == ICertificates.CertificateState.Revoked) {
            return ICertificates.CertificateStatus.Revoked;
        }
        if (certificate.state == ICertificates.CertificateState.Refuted) {
            return ICertificates.CertificateStatus.Refuted;
        }
        IRegistry.Model storage model = _models[certificate.model];
        bool defective = model.state == IRegistry.ModelState.Withdrawn && certificate.issuedAt >= model.defectiveSince;
        if (defective) return ICertificates.CertificateStatus.Fallen;
        if (_hasLapsed(certificate)) return ICertificates.CertificateStatus.Unopened;
        if (block.timestamp >= certificate.expiresAt) return ICertificates.CertificateStatus.Expired;
        return ICertificates.CertificateStatus.Valid;
    }

    /// @dev Whether what a gate's inspector certified lets the lot through.
    function _isGateOpen(bytes32 lot, uint32 inspector, uint40 model) internal view returns (bool) {
        ICertificates.Standing storage standing = _standings[lot][inspector];
        ICertificates.Certificate storage certificate = _certificates[standing.latest];
        bool passes = _statusOf(standing.latest) == ICertificates.CertificateStatus.Valid
            && certificate.verdict == ICertificates.Verdict.Pass && certificate.model == model;
        bool keyed =
            _keys[standing.key].compromisedSince == 0 || certificate.issuedAt < _keys[standing.key].compromisedSince;
        bool demanded = certificate.state == ICertificates.CertificateState.Demanded;
        return passes && !demanded && standing.open == 0 && standing.latest > _reworks[lot]
            && _rolesOf(inspector) & Roles.INSPECTOR != 0 && keyed;
    }

    /// @dev Whether a valid pass of anybody is about the lot as it is.
    function _hasPass(bytes32 lot) internal view returns (bool found) {
        for (uint256 i; i < _inspectorsOf[lot].length; ++i) {
            uint40 latest = _standings[lot][_inspectorsOf[lot][i]].latest;
            bool valid = latest > _reworks[lot] && _statusOf(latest) == ICertificates.CertificateStatus.Valid;
            found = found || (valid && _certificates[latest].verdict == ICertificates.Verdict.Pass);
        }
    }

    /// @dev What the inspector of one of their gates certified of a lot goes on to one that is split off.
    function _handOn(bytes32 from, bytes32 to, uint32 inspector) internal {
        ICertificates.Standing memory standing = _standings[from][inspector];
        if (standing.latest == 0 || standing.latest < _reworks[from]) return;
        ICertificates.Certificate storage latest = _certificates[standing.latest];
        bool open = latest.state == ICertificates.CertificateState.Refuted
            || (latest.openingDeadline != 0 && latest.state != ICertificates.CertificateState.Upheld);
        if (open && standing.open != 0) --standing.open;
        (standing.quarantining, standing.reworks) = (0, 0);
        _inspectorsOf[to].push(inspector);
        _standings[to][inspector] = standing;
    }

    function _holdBy(bytes32 lot, uint32 by, uint40 certificate) internal {
        (_lots[lot].state, _lots[lot].counterparty) = (ILots.LotState.Quarantined, by);
        _inspectorsOf[lot].push(by);
        _standings[lot][by].quarantining = certificate;
    }

    // Issued and revoked

    function _issue(Entry memory entry, bytes32[] memory histories) private {
        (,, ICertificates.Statement memory statement, uint40 size, bytes32 root) =
            abi.decode(entry.data, (address, bytes32[], ICertificates.Statement, uint40, bytes32));
        _act(entry, entry.participant, Roles.INSPECTOR);
        _requireStatement(entry, statement, histories);
        bool anchored = _streams[statement.stream].machine != 0 && _streams[statement.stream].size == size
            && _streams[statement.stream].root == root;
        _hold(Property.Anchors, anchored && statement.leafIndex < size, "issueCertificate: evidence not anchored");
        _certificates[entry.sequence] = ICertificates.Certificate({
            lot: _lots[entry.subject].number,
            model: statement.model,
            issuedAt: uint40(block.timestamp),
            expiresAt: statement.expiresAt,
            openingDeadline: 0,
            issuer: entry.participant,
            reworks: _lots[entry.subject].reworks,
            verdict: statement.verdict,
            state: ICertificates.CertificateState.Issued
        });
        _allCertificates.push(entry.sequence);
        _hasIssued[entry.participant][entry.subject] = true;
        Issuing storage issuing = _issuings[entry.sequence];
        (issuing.lots, issuing.order, issuing.data) = (histories, statement.items[0].order, entry.data);
        if (statement.model == 0 && histories.length > 1) ++count[CERTIFIED_BY_PROCEDURE];
        for (uint256 i; i < histories.length; ++i) {
            _certify(entry, histories[i], statement.verdict);
        }
    }

    function _certify(Entry memory entry, bytes32 lot, ICertificates.Verdict verdict) private {
        ICertificates.Standing storage standing = _standings[lot][entry.participant];
        ICertificates.Certificate storage before = _certificates[standing.latest];
        bool open = before.state == ICertificates.CertificateState.Refuted
            || (before.openingDeadline != 0 && before.state != ICertificates.CertificateState.Upheld);
        if (standing.latest == 0) _inspectorsOf[lot].push(entry.participant);
        else if (standing.latest < _reworks[lot]) standing.open = 0;
        else if (open && before.lot != _lots[lot].number) ++standing.open;
        (standing.latest, standing.key, standing.reworks) = (entry.sequence, entry.key, _lots[lot].reworks);
        bool gate = _inspects(_orderAt[_lots[lot].order], entry.participant);
        if (gate) _follow(lot, verdict == ICertificates.Verdict.Fail, entry.participant, entry.sequence, true);
    }

    function _revoke(Entry memory entry, bytes32[] memory histories) private {
        (,, uint40 number,) = abi.decode(entry.data, (address, bytes32[], uint40, bytes32));
        ICertificates.Certificate storage certificate = _certificates[number];
        _act(entry, certificate.issuer, Roles.INSPECTOR);
        bool fresh = certificate.state != ICertificates.CertificateState.Revoked
            && certificate.state != ICertificates.CertificateState.Refuted;
        _hold(Property.Verdicts, fresh, "revokeCertificate: of one that does not stand");
        bool all = _same(abi.encode(histories), abi.encode(_issuings[number].lots));
        _hold(Property.Heads, all, "revokeCertificate: touches other lots than the certificate's");
        certificate.state = ICertificates.CertificateState.Revoked;
    }

    // Opened

    function _uphold(Entry memory entry) private {
        (,, uint40 number, bool executed) = abi.decode(entry.data, (address, bytes32[], uint40, bool));
        ICertificates.Certificate storage certificate = _openable(entry, number);
        bool revoked = certificate.state == ICertificates.CertificateState.Revoked;
        _hold(Property.Verdicts, !revoked, "challenge: upheld after it was revoked");
        _hold(Property.Verdicts, !_hasLapsed(certificate), "challenge: upheld past the deadline");
        bool published = _models[certificate.model].code != address(0);
        _hold(Property.Verdicts, executed == published, "challenge: a published model is executed, and no other");
        if (certificate.state == ICertificates.CertificateState.Demanded) {
            ++count[DEMAND_MET];
            if (number > _reworks[entry.subject]) --_standings[entry.subject][certificate.issuer].open;
        }
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
        bool fresh = number > _reworks[entry.subject];
        ICertificates.Standing storage standing = _standings[entry.subject][certificate.issuer];
        if (fresh && certificate.openingDeadline == 0) ++standing.open;
        if (standing.latest != number) ++count[OLDER_REFUTED];
        certificate.state = ICertificates.CertificateState.Refuted;
        if (fresh) _followExecution(entry, number, executed);
    }

    function _followExecution(Entry memory entry, uint40 number, ICertificates.Verdict executed) private {
        ICertificates.Certificate storage certificate = _certificates[number];
        ILots.LotState before = _lots[entry.subject].state;
        bytes32 order = _issuings[number].order;
        bool gate =
            order != 0 && _orders[order].sequence == _lots[entry.subject].order && _inspects(order, certificate.issuer);
        bool unknown = executed == ICertificates.Verdict.None && certificate.verdict == ICertificates.Verdict.Fail;
        if (gate && !unknown) {
            bool imposed = _standings[entry.subject][certificate.issuer].quarantining == number;
            _follow(entry.subject, executed != ICertificates.Verdict.Pass, certificate.issuer, 0, imposed);
        }
        ILots.LotState now_ = _lots[entry.subject].state;
        if (before == now_) return;
        ++count[now_ == ILots.LotState.Quarantined ? REFUTED_INTO_QUARANTINE : REFUTED_OUT_OF_QUARANTINE];
    }

    function _demand(Entry memory entry) private {
        (,, uint40 number, uint40 deadline) = abi.decode(entry.data, (address, bytes32[], uint40, uint40));
        ICertificates.Certificate storage certificate = _certificates[number];
        bool issued = certificate.state == ICertificates.CertificateState.Issued;
        _hold(Property.Verdicts, issued, "demandOpening: of one that is not merely issued");
        _hold(Property.Verdicts, certificate.model != 0, "demandOpening: of a procedure");
        _hold(Property.Verdicts, _issuings[number].lots[0] == entry.subject, "demandOpening: of another lot");
        _requireDemander(entry, certificate.verdict == ICertificates.Verdict.Pass);
        bool rested = _demands[entry.participant] == 0 || block.timestamp >= _demands[entry.participant] + 3600;
        _hold(Property.Authority, rested, "demandOpening: twice within an hour");
        _demands[entry.participant] = block.timestamp;
        _hold(Property.Verdicts, deadline == block.timestamp + 604_800, "demandOpening: not within seven days");
        (certificate.state, certificate.openingDeadline) = (ICertificates.CertificateState.Demanded, deadline);
        if (number > _reworks[entry.subject]) ++_standings[entry.subject][certificate.issuer].open;
    }

    // What must be so

    function _requireDemander(Entry memory entry, bool pass) private {
        ILots.Lot storage lot = _lots[entry.subject];
        IOrders.Order storage order = _orders[_orderAt[lot.order]];
        uint16 needed = Roles.AUDITOR;
        if (pass && lot.order != 0 && order.buyer == entry.participant) needed |= Roles.BUYER;
        if (pass && lot.order != 0 && order.coordinator == entry.participant) needed |= Roles.COORDINATOR;
        bool held = !lot.packed && lot.holder == entry.participant;
        if (!pass && (held || _makerOf[entry.subject] == entry.participant)) needed = Roles.ANY;
        _act(entry, entry.participant, needed);
    }

    function _openable(Entry memory entry, uint40 number) private returns (ICertificates.Certificate storage found) {
        found = _certificates[number];
        _act(entry, entry.participant, Roles.ANY);
        bool own = number != 0 && _issuings[number].lots[0] == entry.subject && found.model != 0;
        _hold(Property.Verdicts, own, "challenge: of another lot, or a procedure");
        bool open = found.state == ICertificates.CertificateState.Issued
            || found.state == ICertificates.CertificateState.Demanded
            || found.state == ICertificates.CertificateState.Revoked;
        _hold(Property.Verdicts, open, "challenge: of one that is settled");
    }

    function _hasLapsed(ICertificates.Certificate storage certificate) private view returns (bool) {
        return
            certificate.state == ICertificates.CertificateState.Demanded
                && block.timestamp >= certificate.openingDeadline;
    }

    function _isApart(ILots.LotState state) private pure returns (bool) {
        return state == ILots.LotState.Quarantined || state == ILots.LotState.Returning;
    }

    /// @dev The lot goes where a verdict of its gate's inspector sends it.
    function _follow(bytes32 subject, bool fails, uint32 inspector, uint40 certificate, bool liftable) private {
        ILots.Lot storage lot = _lots[subject];
        if (lot.state == ILots.LotState.Spent) return;
        if (fails) {
            _holdBy(subject, inspector, certificate);
        } else if (_isApart(lot.state) && lot.counterparty == inspector && liftable) {
            (lot.state, lot.counterparty) = (ILots.LotState.Held, 0);
        }
    }

    function _requireStatement(Entry memory entry, ICertificates.Statement memory statement, bytes32[] memory histories)
        private
    {
        IRegistry.Model storage model = _models[statement.model];
        bool byProcedure = statement.model == 0;
        bool approved = byProcedure || model.state == IRegistry.ModelState.Approved;
        _hold(Property.Models, approved, "issueCertificate: model is not approved");
        bool usable = byProcedure || model.open || model.inspector == entry.participant;
        _hold(Property.Models, usable, "issueCertificate: another inspector's model");
        bool full = statement.verdict != ICertificates.Verdict.None && statement.expiresAt > block.timestamp
            && statement.inferenceDigest != 0 && histories[0] == entry.subject
            && histories.length == statement.items.length && (histories.length == 1 || byProcedure);
        _hold(Property.Verdicts, full, "issueCertificate: incomplete");
        for (uint256 i; i < histories.length; ++i) {
            ICustody.Item memory item = statement.items[i];
            bool named = item.lot == histories[i] && (i == 0 || item.lot > histories[i - 1])
                && _lots[item.lot].order == _orders[item.order].sequence;
            _hold(Property.Verdicts, named, "issueCertificate: other lots than stated, or of other orders");
        }
    }
}
