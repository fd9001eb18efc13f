// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IEvidence} from "../src/interfaces/IEvidence.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

contract CertificatesTest is Fixture {
    ICertificates.Verdict private constant PASS = ICertificates.Verdict.Pass;
    ICertificates.Verdict private constant FAIL = ICertificates.Verdict.Fail;

    bytes32 private _order;
    bytes32 private _lot;

    function setUp() public override {
        super.setUp();
        _order = _startedOrder("order");
        _lot = _commission(_order, "lot", 10);
    }

    // ---- issuing ----

    function test_issue() public check {
        ICertificates.Statement memory statement = _statement(_lot, _order, PASS);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateIssued(next, inspector.id, _lot, inspector.key, _one(_lot), statement, 10, ROOT);
        assertEq(_pass(_lot, _order), next);
        ICertificates.Certificate memory stored = _latestOf(_lot);
        assertEq(stored.lot, ledger.lotOf(_lot).number);
        assertEq(stored.issuedAt, START);
        assertEq(stored.model, model);
        assertEq(stored.expiresAt, EXPIRY);
        assertEq(stored.issuer, inspector.id);
        assertEq(uint256(stored.verdict), uint256(PASS));
        assertEq(uint256(stored.state), uint256(ICertificates.CertificateState.Issued));
        assertEq(stored.openingDeadline, 0);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _assertLot(_lot, ILots.LotState.Held, maker);
    }

    function test_noCertificate() public view {
        assertEq(_latest(_lot), 0);
        _assertStatus(_lot, ICertificates.CertificateStatus.None);
    }

    function test_issueRefusals() public check {
        ICertificates.Statement memory statement = _statement(_lot, _order, ICertificates.Verdict.None);
        _refuseIssue(inspector, statement, abi.encodeWithSelector(ICertificates.CertificateVerdictMissing.selector));
        statement = _statement(_lot, _order, PASS);
        statement.expiresAt = uint40(START);
        _refuseIssue(inspector, statement, abi.encodeWithSelector(ICertificates.CertificateExpiryPast.selector, START));
        statement = _statement(_lot, _order, PASS);
        statement.inferenceDigest = 0;
        _refuseIssue(inspector, statement, abi.encodeWithSelector(ICertificates.CertificateDigestMissing.selector));
        statement = _statement(_lot, _order, PASS);
        statement.leafIndex = 10;
        _refuseIssue(
            inspector, statement, abi.encodeWithSelector(IEvidence.EvidenceNotAnchored.selector, gaugeStream, 10, 10)
        );
        statement.stream = ROOT;
        _refuseIssue(inspector, statement, abi.encodeWithSelector(IEvidence.EvidenceStreamUnknown.selector, ROOT));
        statement = _statement(ROOT, _order, PASS);
        _refuseIssue(inspector, statement, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        statement = _statement(_lot, ROOT, PASS);
        _refuseIssue(inspector, statement, abi.encodeWithSelector(IOrders.OrderUnknown.selector, ROOT));
        statement = _statement(_lot, 0, PASS);
        uint40 sequence = ledger.orderOf(_order).sequence;
        _refuseIssue(
            inspector, statement, abi.encodeWithSelector(ILots.LotOrderWrong.selector, _lot, bytes32(0), sequence)
        );
        _refuseIssue(maker, statement, _roleMissing(maker, Roles.MANUFACTURER, Roles.INSPECTOR));
    }

    function test_modelMustBeApproved() public check {
        ICertificates.Statement memory statement = _statement(_lot, _order, PASS);
        _as(inspector);
        statement.model = registry.registerModel(_hash("unapproved"), ROOT);
        _refuseModel(statement);
        statement.model = 999;
        _refuseModel(statement);
        statement.model = model2;
        _withdrawModel(model2);
        _refuseModel(statement);
    }

    function test_K7_anyInspectorCertifiesAndOnlyTheGatesMovesTheLot() public check {
        _openModel(model);
        ICertificates.Statement memory statement = _statement(_lot, _order, FAIL);
        _as(inspector2);
        uint40 certificate = ledger.issueCertificate(statement);
        assertEq(ledger.certificateOf(certificate).issuer, inspector2.id);
        assertEq(ledger.standingOf(_lot, inspector2.id).latest, certificate);
        assertEq(_latest(_lot), 0);
        _assertLot(_lot, ILots.LotState.Held, maker);
    }

    function test_anyInspectorCertifiesWithoutAGate() public check {
        _openModel(model);
        bytes32 open = _acceptedOrder("open", _ungated(1));
        _start(open, 0);
        bytes32 lot = _commission(open, "free", 5);
        _as(inspector2);
        uint40 certificate = ledger.issueCertificate(_statement(lot, open, PASS));
        assertEq(uint256(ledger.certificateStatus(certificate)), uint256(ICertificates.CertificateStatus.Valid));
    }

    // ---- verdicts ----

    function test_failQuarantinesAndPassReleases() public check {
        _fail(_lot, _order);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
        _pass(_lot, _order);
        _assertLot(_lot, ILots.LotState.Held, maker);
        assertEq(ledger.lotOf(_lot).counterparty, 0);
    }

    function test_failEndsAnOffer() public check {
        _offer(maker, _item(_lot, _order), carrier);
        _fail(_lot, _order);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
    }

    function test_passLeavesAnothersQuarantine() public check {
        _quarantine(maker, _lot, _order);
        _pass(_lot, _order);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(_lot).counterparty, maker.id);
    }

    function test_M6_failOfTheGatesInspectorTakesOverAQuarantine() public check {
        _quarantine(maker, _lot, _order);
        _fail(_lot, _order);
        _refuse(maker, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, _lot, inspector.id));
        ledger.releaseLot(_lot, _order, ROOT);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
    }

    /// @dev Failing and then passing a lot must not lift what somebody else imposed.
    function test_M6_verdictWithoutAGateMovesNothing() public check {
        bytes32 lot = _receive(maker, "material", 5);
        _fail(lot, 0);
        _assertLot(lot, ILots.LotState.Held, maker);
        _quarantine(maker, lot, 0);
        _fail(lot, 0);
        assertEq(ledger.lotOf(lot).counterparty, maker.id);
        _pass(lot, 0);
        _assertLot(lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.lotOf(lot).counterparty, maker.id);
    }

    function test_passLeavesAnOffer() public check {
        _offer(maker, _item(_lot, _order), carrier);
        _pass(_lot, _order);
        _assertLot(_lot, ILots.LotState.Offered, maker);
    }

    function test_lateResultsOnASpentLot() public check {
        _as(maker);
        ledger.scrapLot(_lot, 10, ILots.Disposition.Scrapped, ROOT);
        _fail(_lot, _order);
        _assertLot(_lot, ILots.LotState.Spent, maker);
        assertEq(uint256(_latestOf(_lot).verdict), uint256(FAIL));
    }

    function test_latestCounts() public check {
        uint40 first = _pass(_lot, _order);
        uint40 second = _fail(_lot, _order);
        assertEq(_latest(_lot), second);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), first, ROOT);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
    }

    // ---- what makes it fall ----

    function test_revoke() public check {
        uint40 certificate = _pass(_lot, _order);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateRevoked(next, inspector.id, _lot, inspector.key, _one(_lot), certificate, LEAF);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, LEAF);
        assertEq(uint256(_latestOf(_lot).state), uint256(ICertificates.CertificateState.Revoked));
        _assertStatus(_lot, ICertificates.CertificateStatus.Revoked);
        ICertificates.CertificateState state = ICertificates.CertificateState.Revoked;
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateStateWrong.selector, certificate, state));
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _pass(_lot, _order);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
    }

    function test_revokeRefusals() public check {
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateUnknown.selector, 0));
        ledger.revokeCertificate(_one(_lot), 0, ROOT);
        uint40 certificate = _pass(_lot, _order);
        _refuse(
            inspector2, abi.encodeWithSelector(ICertificates.CertificateForeign.selector, certificate, inspector.id)
        );
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        bytes memory reason = abi.encodeWithSelector(ICertificates.CertificateOfOtherLots.selector, certificate);
        _refuse(inspector, reason);
        ledger.revokeCertificate(_one(ROOT), certificate, ROOT);
        _refuse(inspector, reason);
        ledger.revokeCertificate(_two(_lot, ROOT), certificate, ROOT);
        _refuse(maker, _roleMissing(maker, Roles.MANUFACTURER, Roles.INSPECTOR));
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
    }

    /// @dev Taking a failing certificate back does not end the quarantine it imposed.
    function test_revokedFailKeepsTheQuarantine() public check {
        uint40 certificate = _fail(_lot, _order);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
    }

    function test_expiry() public check {
        _pass(_lot, _order);
        _warp(EXPIRY - 1);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _warp(EXPIRY);
        _assertStatus(_lot, ICertificates.CertificateStatus.Expired);
    }

    function test_withdrawnModelMakesItFall() public check {
        _pass(_lot, _order);
        _withdrawModel(model);
        _assertStatus(_lot, ICertificates.CertificateStatus.Fallen);
        _warp(EXPIRY);
        _assertStatus(_lot, ICertificates.CertificateStatus.Fallen);
    }

    function test_revocationCountsBeforeTheModel() public check {
        uint40 certificate = _pass(_lot, _order);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _withdrawModel(model);
        _assertStatus(_lot, ICertificates.CertificateStatus.Revoked);
    }

    /// @dev The other model stands.
    function test_onlyItsModelMakesItFall() public check {
        _pass(_lot, _order);
        _withdrawModel(model2);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
    }

    function testFuzz_statusOverTime(uint40 expiresAt, uint40 time, bool revoked, bool withdrawn) public check {
        expiresAt = uint40(bound(expiresAt, START + 1, START + 1000));
        time = uint40(bound(time, START, START + 2000));
        ICertificates.Statement memory statement = _statement(_lot, _order, PASS);
        statement.expiresAt = expiresAt;
        _as(inspector);
        uint40 certificate = ledger.issueCertificate(statement);
        if (revoked) {
            _as(inspector);
            ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        }
        if (withdrawn) _withdrawModel(model);
        _warp(time);
        ICertificates.CertificateStatus expected = ICertificates.CertificateStatus.Valid;
        if (time >= expiresAt) expected = ICertificates.CertificateStatus.Expired;
        if (withdrawn) expected = ICertificates.CertificateStatus.Fallen;
        if (revoked) expected = ICertificates.CertificateStatus.Revoked;
        _assertStatus(_lot, expected);
    }

    // ---- inside ----

    function _refuseIssue(Party storage party, ICertificates.Statement memory statement, bytes memory reason) private {
        _refuse(party, reason);
        ledger.issueCertificate(statement);
    }

    function _refuseModel(ICertificates.Statement memory statement) private {
        _refuseIssue(
            inspector, statement, abi.encodeWithSelector(ICertificates.CertificateModelUnfit.selector, statement.model)
        );
    }
}
