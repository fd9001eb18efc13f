// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {Gates} from "../src/libraries/Gates.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {ChallengeFixture} from "./ChallengeFixture.sol";

/// @notice That an inspector answers for what it certified, whatever is recorded afterwards, and that nobody is held by a
/// verdict that does not count.
contract AccountabilityTest is ChallengeFixture {
    // ---- demanded, and issued again ----

    function test_H1_demandOutlivesAnotherCertificate() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 first = _certify(_lot, _order, inference);
        _demand(buyer, _lot, _order);
        uint40 second = _certify(_lot, _order, _infer(int8(3)));
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        assertEq(_latest(_lot), second);
        _refuseOpen(first, 1);
        _challengeOf(inspector, first, inference);
        assertEq(ledger.standingOf(_lot, inspector.id).open, 0);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_H1_demandOutlivesRevocation() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 first = _certify(_lot, _order, inference);
        _demand(buyer, _lot, _order);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), first, ROOT);
        _refuseChallengeOf(first, inference, _stateWrong(first, ICertificates.CertificateState.Revoked));
        _certify(_lot, _order, _infer(int8(3)));
        _refuseOpen(first, 1);
    }

    /// @dev One demand closes the gate, for whatever the inspector issues on the lot, until it is reworked.
    function test_H1_reworkEndsWhatIsOpen() public check {
        _certify(_lot, _order, _infer(GOOD));
        _demand(buyer, _lot, _order);
        uint40 old = _latest(_lot);
        _rework();
        _challengeOf(inspector, old, _infer(GOOD));
        uint40 older = _certify(_lot, _order, _infer(int8(3)));
        assertEq(ledger.standingOf(_lot, inspector.id).open, 0);
        _warp(START + 1 hours);
        _demand(buyer, _lot, _order);
        _rework();
        _refuseGate();
        _certify(_lot, _order, _infer(int8(4)));
        _challengeOf(inspector, older, _infer(int8(3)));
        assertEq(ledger.standingOf(_lot, inspector.id).open, 0);
        _move(maker, _item(_lot, _order), buyer);
    }

    // ---- refuted, whatever came after ----

    function test_H2_earlierCertificateIsRefuted() public check {
        ICertificates.Inference memory false_ = _falsePass();
        uint40 first = _certify(_lot, _order, false_);
        _certify(_lot, _order, _infer(GOOD));
        _challengeOf(buyer, first, false_);
        assertEq(uint256(ledger.certificateOf(first).state), uint256(ICertificates.CertificateState.Refuted));
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        assertEq(ledger.standingOf(_lot, inspector.id).open, 1);
    }

    function test_H2_revokedCertificateIsRefuted() public check {
        ICertificates.Inference memory false_ = _falsePass();
        uint40 first = _certify(_lot, _order, false_);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), first, ROOT);
        _challengeOf(buyer, first, false_);
        _assertRefuted(ILots.LotState.Quarantined);
        _certify(_lot, _order, _infer(GOOD));
        _refuseOpen(first, 1);
    }

    /// @dev The demand counted it already.
    function test_H2_demandedAndRefutedCountsOnce() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] += 1;
        _certify(_lot, _order, inference);
        _demand(buyer, _lot, _order);
        _challenge(buyer, _lot, inference);
        assertEq(ledger.standingOf(_lot, inspector.id).open, 1);
    }

    /// @dev What was refuted after the rework was about the lot before it.
    function test_refutationAfterAReworkLeavesTheLot() public check {
        ICertificates.Inference memory false_ = _falsePass();
        uint40 first = _certify(_lot, _order, false_);
        _rework();
        _certify(_lot, _order, _infer(GOOD));
        _challengeOf(buyer, first, false_);
        _move(maker, _item(_lot, _order), buyer);
    }

    /// @dev No history is shown, so nothing recorded meanwhile makes a challenge stale or dear.
    function test_M1_challengeNeedsNoHistory() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        for (uint256 i; i < 20; ++i) {
            _quarantine(maker, _lot, _order);
            _release(maker, _lot, _order);
        }
        _as(buyer);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
        _assertState(_lot, ICertificates.CertificateState.Upheld);
    }

    // ---- other inspectors ----

    function test_M7_anotherInspectorTakesNothing() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 first = _certify(_lot, _order, inference);
        _openModel(published);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, published, inference);
        statement.expiresAt = uint40(block.timestamp + 1);
        _as(inspector2);
        ledger.issueCertificate(statement);
        _warp(block.timestamp + 1);
        assertEq(_latest(_lot), first);
        _challengeOf(buyer, first, inference);
        _move(maker, _item(_lot, _order), buyer);
    }

    // ---- by procedure ----

    function test_R1_oneCertificateServesASample() public check {
        IOrders.OrderTerms memory terms = _terms(1);
        terms.gates = Gates.one(inspector.id, 0);
        bytes32 order = _acceptedOrder("batch", terms);
        _start(order, 0);
        bytes32[] memory lots = _sorted(_commission(order, "a", 1), _commission(order, "b", 1));
        ICertificates.Statement memory statement = _byProcedure(lots, order);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateIssued(next, inspector.id, lots[0], inspector.key, lots, statement, 10, ROOT);
        uint40 certificate = _issue(statement);
        assertEq(ledger.certificateOf(certificate).lot, ledger.lotOf(lots[0]).number);
        _move(maker, _item(lots[1], order), buyer);
        _refuseRevoke(_one(lots[0]), certificate);
        next = _expectRecord();
        emit ICertificates.CertificateRevoked(next, inspector.id, lots[0], inspector.key, lots, certificate, LEAF);
        _as(inspector);
        ledger.revokeCertificate(lots, certificate, LEAF);
        vm.prank(maker.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.offerCustody(_item(lots[0], order), buyer.id, ROOT);
    }

    function test_procedureDoesNotOpenAModelsGate() public check {
        _issue(_byProcedure(_one(_lot), _order));
        _refuseGate();
    }

    function test_procedureRefusals() public check {
        ICertificates.Statement memory statement = _byProcedure(new bytes32[](0), _order);
        _refuseIssue(statement, abi.encodeWithSelector(ICertificates.CertificateLotsWrong.selector, 0, 64));
        statement = _byProcedure(new bytes32[](65), _order);
        _refuseIssue(statement, abi.encodeWithSelector(ICertificates.CertificateLotsWrong.selector, 65, 64));
        statement = _byProcedure(_two(_lot, _lot), _order);
        _refuseIssue(statement, abi.encodeWithSelector(ILots.LotsNotAscending.selector, _lot));
        statement.model = published;
        _refuseIssue(statement, abi.encodeWithSelector(ICertificates.CertificateLotsWrong.selector, 2, 1));
        uint40 certificate = _issue(_byProcedure(_one(_lot), _order));
        bytes memory reason = abi.encodeWithSelector(ICertificates.CertificateByProcedure.selector, certificate);
        _refuseDemand(auditor, certificate, reason);
        _refuseChallengeOf(certificate, _infer(GOOD), reason);
    }

    // ---- standing of issuer and key ----

    function test_H10_suspendedInspectorOpensNoGate() public check {
        _certify(_lot, _order, _infer(GOOD));
        _suspend(inspector);
        _refuseOutOfStanding();
    }

    function test_H10_compromisedKeyOpensNoGate() public check {
        _certifyWithKeyCompromised(uint40(START + 5));
        _refuseOutOfStanding();
    }

    /// @dev Since then: what was signed in that second does not count.
    function test_H10_keyCompromisedWhenItSignedOpensNoGate() public check {
        _certifyWithKeyCompromised(uint40(START + 10));
        _refuseOutOfStanding();
    }

    function test_H10_keyCompromisedAfterItSignedOpensTheGate() public check {
        _certifyWithKeyCompromised(uint40(START + 11));
        _move(maker, _item(_lot, _order), buyer);
    }

    /// @dev It certifies 10 seconds after the start, and is revoked as compromised since the given time.
    function _certifyWithKeyCompromised(uint40 since) private {
        (address spare,) = makeKey("spare");
        _as(inspector);
        registry.proposeKey(spare, Roles.ANY, true);
        vm.prank(spare);
        registry.acceptKey(inspector.id);
        _warp(START + 10);
        _certify(_lot, _order, _infer(GOOD));
        _warp(START + 20);
        vm.prank(spare);
        registry.revokeKey(inspector.key, since);
    }

    /// @dev Verdicts from before the defect stand.
    function test_H11_verdictsBeforeTheDefectStand() public check {
        _certify(_lot, _order, _infer(GOOD));
        _warp(START + 10);
        _as(auditor);
        registry.withdrawModel(published, uint40(START + 5), ROOT);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _move(maker, _item(_lot, _order), buyer);
    }

    // ---- splits ----

    function test_M3_certifiedBatchIsDeliveredInParts() public check {
        uint40 certificate = _certify(_lot, _order, _infer(GOOD));
        (bytes32 part, bytes32 rest) = _split();
        assertEq(_latest(part), certificate);
        assertEq(_latest(rest), certificate);
        _move(maker, _item(part, _order), buyer);
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _refuseOffer(rest);
    }

    /// @dev Split off after the demand, and before the deadline.
    function test_H1_demandIsNotEvadedBySplitting() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _demand(buyer, _lot, _order);
        (bytes32 part,) = _split();
        _refuseOffer(part);
        _challengeOf(inspector, certificate, inference);
        _move(maker, _item(part, _order), buyer);
    }

    function test_M3_openedOnTheBatchIsOpenOnItsParts() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _demand(buyer, _lot, _order);
        (bytes32 part, bytes32 rest) = _split();
        assertEq(ledger.standingOf(part, inspector.id).open, 0);
        _certify(part, _order, _infer(int8(3)));
        assertEq(ledger.standingOf(part, inspector.id).open, 1);
        _refuseOffer(part);
        _challengeOf(inspector, certificate, inference);
        _move(maker, _item(rest, _order), buyer);
        _certify(rest, _order, _infer(int8(4)));
        assertEq(ledger.standingOf(rest, inspector.id).open, 0);
    }

    /// @dev An earlier one that is open stays open on the parts.
    function test_M3_refutationOfAnEarlierOneGoesOn() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] += 1;
        _requireRefuted(inference, ILots.LotState.Held);
        _certify(_lot, _order, _infer(GOOD));
        (bytes32 part,) = _split();
        assertEq(ledger.standingOf(part, inspector.id).open, 1);
        _refuseOffer(part);
    }

    function test_M3_refutedBatchIsRefutedInItsParts() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] += 1;
        _requireRefuted(inference, ILots.LotState.Held);
        (bytes32 part,) = _split();
        assertEq(ledger.standingOf(part, inspector.id).open, 0);
        _certify(part, _order, _infer(int8(3)));
        assertEq(ledger.standingOf(part, inspector.id).open, 1);
        _refuseOffer(part);
    }

    function test_M3_reworkedBatchHandsNothingOn() public check {
        _certify(_lot, _order, _infer(GOOD));
        _rework();
        (bytes32 part,) = _split();
        assertEq(_latest(part), 0);
        _refuseOffer(part);
    }

    // ---- who lifts a quarantine ----

    function test_M5_custodianDemandsAndLiftsWhatNobodyOpened() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.verdict = 2;
        _certify(_lot, _order, inference);
        _refuseRelease();
        _demand(maker, _lot, _order);
        _refuseRelease();
        _warp(START + WEEK);
        _release(maker, _lot, _order);
        _assertLot(_lot, ILots.LotState.Held, maker);
    }

    function test_M5_coordinatorDemands() public check {
        _certify(_lot, _order, _infer(GOOD));
        _demand(coordinator, _lot, _order);
        _assertState(_lot, ICertificates.CertificateState.Demanded);
    }

    /// @dev A packed lot's custodian is its parent's, who unpacks it first.
    function test_demandOfAPackedLot() public check {
        uint40 certificate = _certify(_lot, _order, _infer(GOOD));
        bytes32 box = _receive(maker, "box", 1);
        _pack(maker, box, _one(_lot));
        _refuseDemand(maker, certificate, _unfitDemander(certificate, maker.id));
    }

    function test_M5_custodianLiftsOnceTheFailIsRevokedOrExpired() public check {
        uint40 certificate = _certify(_lot, _order, _infer(BAD));
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _refuse(maker2, abi.encodeWithSelector(ILots.LotForeign.selector, _lot, maker.id));
        ledger.releaseLot(_lot, _order, ROOT);
        _release(maker, _lot, _order);
        _certify(_lot, _order, _infer(BAD));
        _warp(EXPIRY);
        _release(maker, _lot, _order);
    }

    /// @dev An input that cannot be executed says nothing of the lot.
    function test_M5_failOnAnInvalidInputIsLifted() public check {
        ICertificates.Inference memory inference = _infer(_tooLarge());
        inference.verdict = 2;
        _certify(_lot, _order, inference);
        _challenge(maker, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
        _release(maker, _lot, _order);
    }

    /// @dev That the lot fails was found by executing the model.
    function test_quarantineByRefutationIsTheInspectors() public check {
        ICertificates.Inference memory false_ = _falsePass();
        _certify(_lot, _order, false_);
        _challenge(buyer, _lot, false_);
        _refuseRelease();
        _release(inspector, _lot, _order);
    }

    function test_M8_refutationLiftsOnlyItsOwnQuarantine() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] += 1;
        _certify(_lot, _order, inference);
        _quarantine(inspector, _lot, _order);
        _challenge(maker, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
        _refuseRelease();
    }

    function test_M4_custodianLiftsAfterDelivery() public check {
        _certify(_lot, _order, _infer(GOOD));
        _move(maker, _item(_lot, _order), buyer);
        _finish(_order, 0);
        _complete(_order);
        _quarantine(inspector, _lot, _order);
        _refuse(buyer, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, _lot, inspector.id));
        ledger.releaseLot(_lot, _order, ROOT);
        _as(buyer);
        ledger.confirmDelivery(_order, _none(), ROOT);
        _release(buyer, _lot, _order);
        _assertLot(_lot, ILots.LotState.Held, buyer);
    }

    function test_reworkedPartIsLiftedWithItsCertificate() public check {
        uint40 certificate = _certify(_lot, _order, _infer(BAD));
        _as(maker);
        ledger.reworkLot(ILots.Rework(_lot, _order, 0, ROOT, new ILots.Input[](0)));
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _release(maker, _lot, _order);
    }

    /// @dev A lot that left the order is not moved by what is found out about its certificate.
    function test_refutationLeavesALotOfAnotherOrder() public check {
        ICertificates.Inference memory false_ = _falsePass();
        _certify(_lot, _order, false_);
        _as(buyer);
        ledger.deallocateLot(_lot, _order, ROOT);
        _challenge(buyer, _lot, false_);
        _assertLot(_lot, ILots.LotState.Held, maker);
    }

    // ---- inside ----

    function _falsePass() private view returns (ICertificates.Inference memory inference) {
        inference = _infer(BAD);
        inference.verdict = 1;
    }

    function _split() private returns (bytes32 part, bytes32 rest) {
        ILots.TransformationKind kind = ILots.TransformationKind.Split;
        ILots.Transformation memory change = _change(kind, _order, _inputs(_lot, 10), _outputs("part", 4, "rest", 6));
        _as(maker);
        ledger.transformLots(change);
        return (_lotName(maker, "part"), _lotName(maker, "rest"));
    }

    function _byProcedure(bytes32[] memory lots, bytes32 order)
        private
        view
        returns (ICertificates.Statement memory statement)
    {
        statement = _statement(_lot, order, ICertificates.Verdict.Pass);
        statement.model = 0;
        statement.items = new ICustody.Item[](lots.length);
        for (uint256 i; i < lots.length; ++i) {
            statement.items[i] = ICustody.Item(lots[i], order);
        }
    }

    function _refuseIssue(ICertificates.Statement memory statement, bytes memory reason) private {
        _refuse(inspector, reason);
        ledger.issueCertificate(statement);
    }

    function _refuseRevoke(bytes32[] memory lots, uint40 certificate) private {
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateOfOtherLots.selector, certificate));
        ledger.revokeCertificate(lots, certificate, ROOT);
    }

    function _refuseRelease() private {
        _refuse(maker, abi.encodeWithSelector(ILots.LotQuarantineForeign.selector, _lot, inspector.id));
        ledger.releaseLot(_lot, _order, ROOT);
    }

    function _refuseOffer(bytes32 lot) private {
        vm.prank(maker.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.offerCustody(_item(lot, _order), buyer.id, ROOT);
    }

    /// @dev The gate is closed for what is open alone.
    function _refuseOpen(uint40 first, uint8 open) private {
        assertTrue(first != _latest(_lot));
        _refuseClosed(open, true);
    }

    function _refuseOutOfStanding() private {
        _refuseClosed(0, false);
    }

    function _refuseClosed(uint8 open, bool inStanding) private {
        _refuse(
            maker,
            abi.encodeWithSelector(
                ICustody.GateClosed.selector,
                _lot,
                inspector.id,
                published,
                _latest(_lot),
                ICertificates.CertificateStatus.Valid,
                ICertificates.Verdict.Pass,
                published,
                open,
                inStanding
            )
        );
        ledger.offerCustody(_item(_lot, _order), buyer.id, ROOT);
    }
}
