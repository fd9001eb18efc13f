// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {ChallengeFixture} from "./ChallengeFixture.sol";

/// @notice Openings that buyers and auditors demand, given in time or not.
contract DemandsTest is ChallengeFixture {
    function test_demandByTheBuyer() public check {
        uint40 certificate = _certify(_lot, _order, _infer(GOOD));
        uint40 deadline = uint40(START + WEEK);
        uint40 next = _expectRecord();
        emit ICertificates.OpeningDemanded(next, buyer.id, _lot, buyer.key, _one(_lot), certificate, deadline);
        _demand(buyer, _lot, _order);
        _assertState(_lot, ICertificates.CertificateState.Demanded);
        assertEq(_latestOf(_lot).openingDeadline, deadline);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _warp(deadline - 1);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _warp(deadline);
        _assertStatus(_lot, ICertificates.CertificateStatus.Unopened);
        _refuseGate();
    }

    function test_demandIsMet() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        _certify(_lot, _order, inference);
        _demand(auditor, _lot, _order);
        _warp(START + WEEK - 1);
        _challenge(inspector, _lot, inference);
        _warp(START + WEEK);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_lateOpeningDoesNotUphold() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _demand(auditor, _lot, _order);
        _warp(START + WEEK);
        uint40 deadline = uint40(START + WEEK);
        _refuseChallenge(
            inference, abi.encodeWithSelector(ICertificates.CertificateOpeningLate.selector, certificate, deadline)
        );
        _certify(_lot, _order, inference);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        assertEq(ledger.standingOf(_lot, inspector.id).open, 1);
        _refuseGate();
    }

    function test_lateOpeningRefutes() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _certify(_lot, _order, inference);
        _demand(auditor, _lot, _order);
        _warp(START + WEEK);
        _challenge(carrier, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
    }

    function test_statusOfADemandedOne() public check {
        _certify(_lot, _order, _infer(GOOD));
        _demand(auditor, _lot, _order);
        _warp(EXPIRY);
        _assertStatus(_lot, ICertificates.CertificateStatus.Unopened);
        _withdrawModel(published);
        _assertStatus(_lot, ICertificates.CertificateStatus.Fallen);
        uint40 certificate = _latest(_lot);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _assertStatus(_lot, ICertificates.CertificateStatus.Revoked);
    }

    function test_demandRefusals() public check {
        uint40 certificate = _certify(_lot, _order, _infer(GOOD));
        _refuseDemand(maker2, certificate, _unfitDemander(certificate, maker2.id));
        _refuseDemand(inspector, certificate, _unfitDemander(certificate, inspector.id));
        Party memory other = _admit("other buyer", Roles.BUYER);
        vm.prank(other.key);
        vm.expectRevert(_unfitDemander(certificate, other.id));
        ledger.demandOpening(_lot, _order, certificate);
        bytes32 loose = _receive(maker, "loose", 5);
        uint40 third = _certify(loose, 0, _infer(GOOD));
        _refuse(buyer, _unfitDemander(third, buyer.id));
        ledger.demandOpening(loose, 0, third);
        _refuse(buyer, _unfitDemander(third, buyer.id));
        ledger.demandOpening(loose, _order, third);
        _refuse(buyer, _unfitDemander(certificate, buyer.id));
        ledger.demandOpening(_lot, 0, certificate);
        _refuse(auditor, abi.encodeWithSelector(ILots.LotUnknown.selector, ROOT));
        ledger.demandOpening(ROOT, 0, certificate);
        _refuseDemand(auditor, third, abi.encodeWithSelector(ICertificates.CertificateOfOtherLots.selector, third));
        _refuseDemand(auditor, 1, abi.encodeWithSelector(ICertificates.CertificateUnknown.selector, 1));
        _demand(auditor, loose, 0);
        _demand(buyer, _lot, _order);
        _refuseDemand(auditor, certificate, _stateWrong(certificate, ICertificates.CertificateState.Demanded));
    }

    /// @dev M6 (N17): who carries a lot does not hold it up by doubting what passed it, nor does its maker.
    function test_third_N17_theCustodianDoubtsNoPass() public check {
        uint40 certificate = _certify(_lot, _order, _infer(GOOD));
        _refuseDemand(maker, certificate, _unfitDemander(certificate, maker.id));
        _refuse(maker, _unfitDemander(certificate, maker.id));
        ledger.demandOpening(_lot, _hash("lot"), certificate);
        bytes32 loose = _receive(maker, "loose", 5);
        uint40 passed = _certify(loose, 0, _infer(GOOD));
        _refuse(maker, _unfitDemander(passed, maker.id));
        ledger.demandOpening(loose, 0, passed);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_aFailIsDoubtedByCustodianAndMaker() public check {
        bytes32 lot = _receive(maker, "odd", 5);
        _move(maker, _item(lot, 0), carrier);
        uint40 fail = _certify(lot, 0, _infer(BAD));
        _refuse(maker, _unfitDemander(fail, maker.id));
        ledger.demandOpening(lot, _hash("even"), fail);
        _refuse(maker2, _unfitDemander(fail, maker2.id));
        ledger.demandOpening(lot, _hash("odd"), fail);
        _as(maker);
        ledger.demandOpening(lot, _hash("odd"), fail);
        fail = _certify(lot, 0, _infer(BAD));
        _as(carrier);
        ledger.demandOpening(lot, 0, fail);
        fail = _certify(_lot, _order, _infer(BAD));
        _refuseDemand(buyer, fail, _unfitDemander(fail, buyer.id));
        _refuseDemand(coordinator, fail, _unfitDemander(fail, coordinator.id));
    }

    function test_oneDemandAnHour() public check {
        bytes32 second = _commission(_order, "second", 10);
        uint40 certificate = _certify(_lot, _order, _infer(GOOD));
        _certify(second, _order, _infer(GOOD));
        _demand(auditor, second, _order);
        bytes memory reason = abi.encodeWithSelector(
            ICertificates.CertificateDemandTooSoon.selector, auditor.id, uint40(START + 1 hours)
        );
        _refuseDemand(auditor, certificate, reason);
        _warp(START + 1 hours - 1);
        _refuseDemand(auditor, certificate, reason);
        _warp(START + 1 hours);
        _demand(auditor, _lot, _order);
        bytes32 third = _commission(_order, "third", 10);
        _certify(third, _order, _infer(GOOD));
        _demand(buyer, third, _order);
    }
}
