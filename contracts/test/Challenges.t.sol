// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {ChallengeFixture} from "./ChallengeFixture.sol";
import {Models} from "./Models.sol";

/// @notice Inferences opened on chain: upheld, refuted, or opened wrongly.
contract ChallengesTest is ChallengeFixture {
    // ---- upheld ----

    function test_rightOpeningUpholds() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateUpheld(next, carrier.id, _lot, carrier.key, _one(_lot), certificate, true);
        _as(carrier);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
        _assertState(_lot, ICertificates.CertificateState.Upheld);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _move(maker, _item(_lot, _order), buyer);
    }

    function test_rightFailingOpeningUpholds() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        _certify(_lot, _order, inference);
        _challenge(inspector, _lot, inference);
        _assertState(_lot, ICertificates.CertificateState.Upheld);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
    }

    function test_upheldIsSettled() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _challenge(inspector, _lot, inference);
        _refuseChallenge(inference, _stateWrong(certificate, ICertificates.CertificateState.Upheld));
        _refuseDemand(auditor, certificate, _stateWrong(certificate, ICertificates.CertificateState.Upheld));
        _as(inspector);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _assertStatus(_lot, ICertificates.CertificateStatus.Revoked);
    }

    function test_digestAloneIsUpheldWithoutExecution() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] = 12_345; // nobody can tell on chain
        uint40 certificate = _issue(_statementOf(_lot, _order, model, inference));
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateUpheld(next, auditor.id, _lot, auditor.key, _one(_lot), certificate, false);
        _as(auditor);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
    }

    // ---- refuted ----

    function test_otherLogitsRefute() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] += 1;
        uint40 certificate = _certify(_lot, _order, inference);
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        uint40 next = _expectRecord();
        emit ICertificates.CertificateRefuted(
            next, buyer.id, _lot, buyer.key, _one(_lot), certificate, ICertificates.Verdict.Pass
        );
        _as(buyer);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
        _assertRefuted(ILots.LotState.Held);
    }

    function test_moreLogitsRefute() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        int32[] memory logits = new int32[](2);
        logits[0] = inference.logits[0];
        inference.logits = logits;
        _requireRefuted(inference, ILots.LotState.Held);
    }

    function test_noLogitsRefute() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits = new int32[](0);
        _requireRefuted(inference, ILots.LotState.Held);
    }

    /// @dev The digest is true to what the inspector states, and both are false to the model.
    function test_falsePassIsRefutedIntoQuarantine() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _requireRefuted(inference, ILots.LotState.Quarantined);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
    }

    function test_falseFailIsRefutedOutOfQuarantine() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.verdict = 2;
        _certify(_lot, _order, inference);
        _assertLot(_lot, ILots.LotState.Quarantined, maker);
        _challenge(maker, _lot, inference);
        _assertRefuted(ILots.LotState.Held);
        _refuseGate();
    }

    /// @dev The inference is true, the statement is not.
    function test_statedVerdictMustBeTheInferences() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, published, inference);
        statement.verdict = ICertificates.Verdict.Pass;
        _issue(statement);
        _challenge(buyer, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
    }

    function test_verdictThatIsNoneRefutes() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint8[3] memory strange = [0, 3, 255];
        for (uint256 i; i < 3; ++i) {
            inference.verdict = strange[i];
            _requireRefuted(inference, ILots.LotState.Held);
        }
    }

    function test_invalidWindowRefutes() public check {
        bytes[4] memory windows =
            [Models.integers(WIDTH - 1, 1), Models.integers(WIDTH + 1, 1), bytes(hex""), _tooLarge()];
        for (uint256 i; i < 4; ++i) {
            bytes32 lot = _commission(_order, string.concat("lot ", vm.toString(i)), 10);
            ICertificates.Inference memory inference = _infer(windows[i]);
            uint40 certificate = _certify(lot, _order, inference);
            _settle();
            (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
            uint40 next = _expectRecord();
            emit ICertificates.CertificateRefuted(
                next, maker.id, lot, maker.key, _one(lot), certificate, ICertificates.Verdict.None
            );
            _as(maker);
            ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
            _assertLot(lot, ILots.LotState.Quarantined, maker);
        }
    }

    function test_invalidWindowWithoutAVerdictRefutes() public check {
        ICertificates.Inference memory inference = _infer(Models.integers(3, 1));
        (inference.logits, inference.verdict) = (new int32[](0), 0);
        _requireRefuted(inference, ILots.LotState.Quarantined);
    }

    function test_digestAloneIsRefutedByItsOwnVerdict() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, model, inference);
        statement.verdict = ICertificates.Verdict.Pass;
        uint40 certificate = _issue(statement);
        _refuteUnexecuted(buyer, certificate, inference);
    }

    function test_refutedIsSettled() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _requireRefuted(inference, ILots.LotState.Quarantined);
        uint40 certificate = _latest(_lot);
        bytes memory reason = _stateWrong(certificate, ICertificates.CertificateState.Refuted);
        _refuseChallenge(inference, reason);
        _refuseDemand(auditor, certificate, reason);
        _refuse(inspector, reason);
        ledger.revokeCertificate(_one(_lot), certificate, ROOT);
        _withdrawModel(published);
        _warp(EXPIRY);
        _assertStatus(_lot, ICertificates.CertificateStatus.Refuted);
    }

    function test_H2_refutationStaysWhateverIsIssuedUntilTheLotIsReworked() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] -= 1;
        _requireRefuted(inference, ILots.LotState.Held);
        _refuseGate();
        _certify(_lot, _order, _infer(GOOD));
        _assertStatus(_lot, ICertificates.CertificateStatus.Valid);
        _refuseGate();
        _rework();
        _refuseGate();
        _certify(_lot, _order, _infer(GOOD));
        _move(maker, _item(_lot, _order), buyer);
    }

    /// @dev Between offer and acceptance.
    function test_refutationEndsAnOffer() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _certify(_lot, _order, inference);
        _offer(maker, _item(_lot, _order), buyer);
        _challenge(buyer, _lot, inference);
        _assertRefuted(ILots.LotState.Quarantined);
    }

    function test_refutationLeavesAnOfferOfAGoodLotButNotTheGate() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] -= 1;
        _certify(_lot, _order, inference);
        _offer(maker, _item(_lot, _order), buyer);
        _challenge(buyer, _lot, inference);
        _assertRefuted(ILots.LotState.Offered);
        uint40 offer = ledger.offerOf(_lot).sequence;
        vm.prank(buyer.key);
        vm.expectPartialRevert(ICustody.GateClosed.selector);
        ledger.acceptCustody(_item(_lot, _order), offer, ROOT);
    }

    function test_refutationLeavesASpentLot() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _certify(_lot, _order, inference);
        _as(maker);
        ledger.scrapLot(_lot, 10, ILots.Disposition.Scrapped, ROOT);
        _challenge(buyer, _lot, inference);
        _assertRefuted(ILots.LotState.Spent);
    }

    function test_refutationWithoutAGateLeavesAnothersQuarantine() public check {
        bytes32 lot = _receive(maker, "material", 5);
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _certify(lot, 0, inference);
        _quarantine(maker, lot, 0);
        _challenge(carrier, lot, inference);
        assertEq(ledger.lotOf(lot).counterparty, maker.id);
    }

    function test_refutationThroughTheGateTakesOverAQuarantine() public check {
        ICertificates.Inference memory inference = _infer(BAD);
        inference.verdict = 1;
        _certify(_lot, _order, inference);
        _quarantine(maker, _lot, _order);
        _challenge(carrier, _lot, inference);
        assertEq(ledger.lotOf(_lot).counterparty, inspector.id);
    }

    function testFuzz_truthDecides(int64[5] memory values, uint8 verdict, uint8 shift) public check {
        bytes memory window;
        bool valid = true;
        for (uint256 i; i < 5; ++i) {
            int64 value = values[i] >> 10 + (shift + i) % 54;
            window = abi.encodePacked(window, value);
            valid = valid && value < 2 ** 53 && value > -2 ** 53;
        }
        ICertificates.Inference memory inference = _infer(window);
        ICertificates.Inference memory shown = _infer(window);
        shown.verdict = uint8(1 + verdict % 2);
        shown.logits[0] += int32(uint32(shift % 3)) - 1;
        _certify(_lot, _order, shown);
        _challenge(carrier, _lot, shown);
        bool right = valid && shown.verdict == inference.verdict && shown.logits[0] == inference.logits[0];
        _assertState(_lot, right ? ICertificates.CertificateState.Upheld : ICertificates.CertificateState.Refuted);
        bool passes = valid && inference.verdict == 1;
        _assertLot(_lot, passes ? ILots.LotState.Held : ILots.LotState.Quarantined, maker);
    }

    // ---- wrong openings ----

    function test_anotherInferenceDoesNotOpen() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        _certify(_lot, _order, inference);
        inference.salt = ROOT;
        _refuseInference(inference);
        inference = _infer(GOOD);
        inference.window[7] = 0x03;
        _refuseInference(inference);
        inference = _infer(GOOD);
        inference.logits[0] += 1;
        _refuseInference(inference);
        inference = _infer(GOOD);
        inference.verdict = 2;
        _refuseInference(inference);
        inference = _infer(GOOD);
        inference.logits = new int32[](33);
        _refuseChallenge(inference, abi.encodeWithSignature("EvaluatorLogitsTooMany(uint256,uint256)", 33, 32));
    }

    function test_digestBelongsToItsModel() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        ICertificates.Statement memory statement = _statementOf(_lot, _order, published, inference);
        bytes32 digest = statement.inferenceDigest;
        statement.model = model;
        _requireForeign(statement, inference, digest);
    }

    function test_wrongData() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        uint40 certificate = _certify(_lot, _order, inference);
        _settle();
        (address key, ICertificates.Issued memory issued) = replay.issuedOf(certificate);
        _refuseData(buyer.key, issued, inference);
        issued.statement.inferenceDigest = DIGEST;
        _refuseData(key, issued, inference);
        (, issued) = replay.issuedOf(certificate);
        issued.statement.items[0].order = 0;
        _refuseData(key, issued, inference);
        (, issued) = replay.issuedOf(certificate);
        issued.statement.items[0].lot = ROOT;
        _refuseData(key, issued, inference);
        (, issued) = replay.issuedOf(certificate);
        issued.anchorSize += 1;
        _refuseData(key, issued, inference);
        (, issued) = replay.issuedOf(certificate);
        issued.anchorRoot = DIGEST;
        _refuseData(key, issued, inference);
        (, issued) = replay.issuedOf(certificate);
        issued.statement.items = new ICustody.Item[](2);
        vm.prank(buyer.key);
        vm.expectPartialRevert(ICertificates.CertificateDataWrong.selector);
        ledger.challenge(certificate, key, issued, inference, _measured[issued.statement.leafHash]);
    }

    function test_unknownIsNotChallenged() public check {
        ICertificates.Issued memory issued;
        ICertificates.Inference memory inference = _infer(GOOD);
        _refuse(buyer, abi.encodeWithSelector(ICertificates.CertificateUnknown.selector, 1));
        ICertificates.Measured memory measured;
        ledger.challenge(1, inspector.key, issued, inference, measured);
    }

    function test_expiredAndFallenAreChallenged() public check {
        ICertificates.Inference memory inference = _infer(GOOD);
        inference.logits[0] += 1;
        _certify(_lot, _order, inference);
        _withdrawModel(published);
        _warp(EXPIRY);
        _challenge(buyer, _lot, inference);
        _assertRefuted(ILots.LotState.Held);
    }
}
