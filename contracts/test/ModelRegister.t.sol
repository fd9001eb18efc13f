// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvaluator} from "../src/interfaces/IEvaluator.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Models} from "./Models.sol";
import {RegistryFixture} from "./RegistryFixture.sol";

/// @notice Models: registered, published, approved, withdrawn.
contract ModelRegisterTest is RegistryFixture {
    /// @dev One answer for all that an order's terms need, the same as the views that answer for each.
    function test_standing() public {
        _assertStanding(coordinator.id, inspector.id, model);
        (uint16 coordinating, uint16 inspecting, bool approved,) =
            registry.standingOf(coordinator.id, inspector.id, model);
        assertEq(coordinating, Roles.COORDINATOR);
        assertEq(inspecting, Roles.INSPECTOR);
        assertTrue(approved);
        _assertStanding(0, 0, 0);
        _assertStanding(99, 98, 97);
        _suspend(inspector);
        _assertStanding(coordinator.id, inspector.id, model);
        (, inspecting,,) = registry.standingOf(coordinator.id, inspector.id, model);
        assertEq(inspecting, 0, "suspended");
        _suspend(coordinator);
        (coordinating,,,) = registry.standingOf(coordinator.id, inspector2.id, model2);
        assertEq(coordinating, 0, "suspended");
        _withdrawModel(model);
        (,, approved,) = registry.standingOf(coordinator.id, inspector.id, model);
        assertTrue(!approved);
    }

    function testFuzz_standing(uint32 first, uint32 second, uint40 number) public view {
        _assertStanding(first % 12, second % 12, number % 24);
    }

    function test_publishModel() public check {
        bytes memory content = Models.uniform(3, 1, 0, 1);
        bytes32 digest = sha256(content);
        uint40 next = registry.sequence() + 1;
        // the registry's first contract was the evaluator
        address code = vm.computeCreateAddress(address(registry), 2);
        vm.expectEmit(address(registry));
        emit IRegistry.ModelPublished(next, inspector.id, _bytes32(next), inspector.key, digest, code, LEAF);
        _as(inspector);
        assertEq(registry.publishModel(content, LEAF), next);
        IRegistry.Model memory stored = registry.modelOf(next);
        assertEq(stored.digest, digest);
        assertEq(stored.code, code);
        assertEq(code.code, bytes.concat(hex"00", content), "code");
        _assertModel(next, IRegistry.ModelState.Registered);
        assertEq(registry.modelOf(model).code, address(0), "a digest alone has no code");
    }

    function test_publishModelRefusals() public check {
        bytes memory content = Models.uniform(3, 1, 0, 1);
        _refuse(auditor, _missing(auditor, Roles.AUDITOR, Roles.INSPECTOR));
        registry.publishModel(content, ROOT);
        _refuse(inspector, abi.encodeWithSelector(IEvaluator.EvaluatorModelMalformed.selector, content.length));
        registry.publishModel(bytes.concat(content, hex"00"), ROOT);
        _refuse(inspector, abi.encodeWithSelector(IEvaluator.EvaluatorModelMalformed.selector, 0));
        registry.publishModel("", ROOT);
        _refuse(inspector, abi.encodeWithSelector(IEvaluator.EvaluatorModelTooLarge.selector, 24_576, 24_575));
        registry.publishModel(new bytes(24_576), ROOT);
        _refuse(inspector, abi.encodeWithSelector(IEvaluator.EvaluatorModelNotExecutable.selector, 0));
        registry.publishModel("MMQT", ROOT);
        _as(inspector);
        uint40 number = registry.publishModel(content, ROOT);
        bytes32 digest = sha256(content);
        bytes32 subject = Subjects.derive(Subjects.Kind.Model, inspector.id, digest);
        bytes memory taken = abi.encodeWithSelector(IRegistry.RegistrySubjectTaken.selector, subject, number);
        _refuse(inspector, taken);
        registry.publishModel(content, ROOT);
        _refuse(inspector, taken);
        registry.registerModel(digest, ROOT);
        _as(inspector2);
        assertTrue(registry.publishModel(content, ROOT) != number);
    }

    function test_largestModelIsPublished() public check {
        bytes memory content = Models.build(Models.plan(Models.sizesOf(1022, 23), 1));
        assertEq(content.length, 23_644);
        _as(inspector);
        uint40 number = registry.publishModel(content, ROOT);
        assertEq(registry.modelOf(number).code.code.length, 23_645);
    }

    function test_registerAndApproveModel() public check {
        bytes32 subject = _subject(Subjects.Kind.Model, inspector, "new");
        uint40 next = _expectEntry();
        emit IRegistry.ModelRegistered(next, inspector.id, _bytes32(next), inspector.key, _hash("new"), ROOT);
        _as(inspector);
        assertEq(registry.registerModel(_hash("new"), ROOT), next);
        _assertModel(next, IRegistry.ModelState.Registered);
        uint40 number = next;
        next = _expectEntry();
        emit IRegistry.ModelApproved(next, auditor.id, _bytes32(number), auditor.key, number, LEAF);
        _as(auditor);
        registry.approveModel(number, LEAF);
        _assertModel(number, IRegistry.ModelState.Approved);
        assertEq(registry.modelOf(number).inspector, inspector.id);
        assertEq(registry.modelOf(number).approver, auditor.id);
        assertEq(registry.modelOf(number).digest, _hash("new"));
        _refuse(auditor, _stateWrong(number, IRegistry.ModelState.Approved));
        registry.approveModel(number, ROOT);
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistrySubjectTaken.selector, subject, number));
        registry.registerModel(_hash("new"), ROOT);
    }

    function test_modelRefusals() public check {
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistryDigestMissing.selector));
        registry.registerModel(0, ROOT);
        _refuse(auditor, _missing(auditor, Roles.AUDITOR, Roles.INSPECTOR));
        registry.registerModel(ROOT, ROOT);
        _refuse(inspector, _missing(inspector, Roles.INSPECTOR, Roles.AUDITOR));
        registry.approveModel(model, ROOT);
        _refuse(auditor, _stateWrong(999, IRegistry.ModelState.None));
        registry.approveModel(999, ROOT);
        _refuse(auditor, _stateWrong(999, IRegistry.ModelState.None));
        registry.withdrawModel(999, 0, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryModelUnknown.selector, 999));
        registry.modelOf(999);
        _assertModel(999, IRegistry.ModelState.None);
    }

    function test_nobodyApprovesItsOwnModel() public check {
        _setRoles(inspector, Roles.INSPECTOR | Roles.AUDITOR);
        _as(inspector);
        uint40 number = registry.registerModel(_hash("new"), ROOT);
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistryModelOwnApproval.selector, number, inspector.id));
        registry.approveModel(number, ROOT);
    }

    function test_approverWithdraws() public check {
        uint40 next = _expectEntry();
        emit IRegistry.ModelWithdrawn(next, auditor.id, _bytes32(model), auditor.key, model, uint40(START - 9), ROOT);
        _as(auditor);
        registry.withdrawModel(model, uint40(START - 9), ROOT);
        _assertModel(model, IRegistry.ModelState.Withdrawn);
        assertEq(registry.modelOf(model).withdrawnAt, START);
        assertEq(registry.modelOf(model).defectiveSince, START - 9);
        _refuse(inspector, _stateWrong(model, IRegistry.ModelState.Withdrawn));
        registry.withdrawModel(model, 0, ROOT);
        _refuse(auditor, _stateWrong(model, IRegistry.ModelState.Withdrawn));
        registry.approveModel(model, ROOT);
    }

    function test_inspectorWithdrawsEvenUnapproved() public check {
        _as(inspector);
        uint40 number = registry.registerModel(_hash("new"), ROOT);
        _as(inspector);
        registry.withdrawModel(number, uint40(START), ROOT);
        _assertModel(number, IRegistry.ModelState.Withdrawn);
    }

    function test_withdrawRefusals() public check {
        bytes memory foreign =
            abi.encodeWithSelector(IRegistry.RegistryModelForeign.selector, model, inspector.id, auditor.id);
        _refuse(inspector2, foreign);
        registry.withdrawModel(model, 0, ROOT);
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistryTimeInFuture.selector, START + 1));
        registry.withdrawModel(model, uint40(START + 1), ROOT);
        _refuse(buyer, _missing(buyer, Roles.BUYER, Roles.INSPECTOR | Roles.AUDITOR));
        registry.withdrawModel(model, 0, ROOT);
        _setRoles(inspector, Roles.AUDITOR);
        _refuse(inspector, _missing(inspector, Roles.AUDITOR, Roles.INSPECTOR));
        registry.withdrawModel(model, 0, ROOT);
        _setRoles(auditor, Roles.INSPECTOR);
        _refuse(auditor, _missing(auditor, Roles.INSPECTOR, Roles.AUDITOR));
        registry.withdrawModel(model, 0, ROOT);
    }

    // ---- retired, opened, registered again ----

    /// @dev Before, a model ended only by withdrawal, which fells every certificate on it.
    function test_H11_aRetiredModelKeepsItsVerdicts() public check {
        bytes32 lot = _receive(maker, "certified", 5);
        _pass(lot, 0);
        uint40 next = _expectEntry();
        emit IRegistry.ModelRetired(next, inspector.id, _bytes32(model), inspector.key, model, ROOT);
        _retireModel(model);
        _assertModel(model, IRegistry.ModelState.Retired);
        assertEq(registry.modelOf(model).retiredAt, START);
        _assertStatus(lot, ICertificates.CertificateStatus.Valid);
        bytes32 other = _receive(maker, "other", 5);
        ICertificates.Statement memory statement = _statement(other, 0, ICertificates.Verdict.Pass);
        _refuse(inspector, abi.encodeWithSelector(ICertificates.CertificateModelUnfit.selector, model));
        ledger.issueCertificate(statement);
        _withdrawModel(model);
        _assertStatus(lot, ICertificates.CertificateStatus.Fallen);
        assertEq(registry.modelOf(model).retiredAt, START, "both stay known");
    }

    function test_H11_aRetiredModelOpensTheGate() public check {
        bytes32 order = _startedOrder("gated");
        bytes32 lot = _commission(order, "part", 5);
        _pass(lot, order);
        _retireModel(model);
        _move(maker, _item(lot, order), buyer);
        _assertLot(lot, ILots.LotState.Held, buyer);
    }

    function test_retireRefusals() public check {
        _refuse(auditor, _missing(auditor, Roles.AUDITOR, Roles.INSPECTOR));
        registry.retireModel(model, ROOT);
        _refuse(
            inspector2, abi.encodeWithSelector(IRegistry.RegistryModelForeign.selector, model, inspector.id, auditor.id)
        );
        registry.retireModel(model, ROOT);
        _refuse(inspector, _stateWrong(999, IRegistry.ModelState.None));
        registry.retireModel(999, ROOT);
        _as(inspector);
        uint40 number = registry.registerModel(_hash("new"), ROOT);
        _refuse(inspector, _stateWrong(number, IRegistry.ModelState.Registered));
        registry.retireModel(number, ROOT);
        _retireModel(model);
        _refuse(inspector, _stateWrong(model, IRegistry.ModelState.Retired));
        registry.retireModel(model, ROOT);
        _refuse(inspector, _stateWrong(model, IRegistry.ModelState.Retired));
        registry.openModel(model, true);
        _refuse(auditor, _stateWrong(model, IRegistry.ModelState.Retired));
        registry.approveModel(model, ROOT);
    }

    /// @dev Before, any inspector could certify on another's model, which that rival then fells at will.
    function test_H11_anothersModelIsUsedOnlyWhenOpened() public check {
        bytes32 lot = _receive(maker, "part", 5);
        ICertificates.Statement memory statement = _statement(lot, 0, ICertificates.Verdict.Pass);
        bytes memory closed =
            abi.encodeWithSelector(ICertificates.CertificateModelClosed.selector, model, inspector2.id);
        _refuse(inspector2, closed);
        ledger.issueCertificate(statement);
        _refuse(
            inspector2, abi.encodeWithSelector(IRegistry.RegistryModelForeign.selector, model, inspector.id, auditor.id)
        );
        registry.openModel(model, true);
        uint40 next = _expectEntry();
        emit IRegistry.ModelOpened(next, inspector.id, _bytes32(model), inspector.key, model, true);
        _openModel(model);
        assertTrue(registry.modelOf(model).open);
        _as(inspector2);
        ledger.issueCertificate(statement);
        _as(inspector);
        registry.openModel(model, false);
        _refuse(inspector2, closed);
        ledger.issueCertificate(statement);
        (IRegistry.ModelState state, bool usable) = registry.modelFor(model, inspector.id);
        assertEq(uint256(state), uint256(IRegistry.ModelState.Approved));
        assertTrue(usable, "its owner always may");
    }

    /// @dev Before, nobody could withdraw the model once inspector and approver were suspended, and its gate stayed open.
    function test_H11_withdrawalIsNeverOutOfReach() public check {
        Party memory other = _admit("other auditor", Roles.AUDITOR);
        bytes memory foreign =
            abi.encodeWithSelector(IRegistry.RegistryModelForeign.selector, model, inspector.id, auditor.id);
        vm.prank(other.key);
        vm.expectRevert(foreign);
        registry.withdrawModel(model, 0, ROOT);
        bytes memory stranger = abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, owner);
        _refuseOwner(stranger);
        registry.withdrawModel(model, 0, ROOT);
        _suspend(auditor);
        _refuseOwner(stranger);
        registry.withdrawModel(model2, 0, ROOT);
        _refuse(inspector2, _missing(inspector2, Roles.INSPECTOR | Roles.MANUFACTURER, Roles.AUDITOR));
        registry.withdrawModel(model, 0, ROOT);
        vm.prank(other.key);
        registry.withdrawModel(model, 0, ROOT);
        _assertModel(model, IRegistry.ModelState.Withdrawn);
        _suspend(inspector);
        uint40 next = _expectEntry();
        emit IRegistry.ModelWithdrawn(next, 0, _bytes32(model2), owner, model2, uint40(START), ROOT);
        vm.prank(owner);
        registry.withdrawModel(model2, uint40(START), ROOT);
        _assertModel(model2, IRegistry.ModelState.Withdrawn);
        _refuseOwner(_stateWrong(model2, IRegistry.ModelState.Withdrawn));
        registry.withdrawModel(model2, 0, ROOT);
    }

    function test_ownerWithdrawsAnUnapprovedModelOfAGoneInspector() public check {
        _as(inspector);
        uint40 number = registry.registerModel(_hash("new"), ROOT);
        bytes memory foreign = abi.encodeWithSelector(IRegistry.RegistryModelForeign.selector, number, inspector.id, 0);
        _refuse(auditor, foreign);
        registry.withdrawModel(number, 0, ROOT);
        _suspend(inspector);
        vm.prank(owner);
        registry.withdrawModel(number, 0, ROOT);
        _assertModel(number, IRegistry.ModelState.Withdrawn);
    }

    /// @dev Before, the same bytes could never be registered again by their inspector.
    function test_H11_aDigestIsRegisteredAgainAsANewNumber() public check {
        bytes32 subject = _subject(Subjects.Kind.Model, inspector, "model");
        _retireModel(model);
        _as(inspector);
        uint40 second = registry.registerModel(_hash("model"), ROOT);
        assertEq(registry.sequenceOf(subject), second);
        _assertModel(model, IRegistry.ModelState.Retired);
        _assertModel(second, IRegistry.ModelState.Registered);
        _refuse(inspector, abi.encodeWithSelector(IRegistry.RegistrySubjectTaken.selector, subject, second));
        registry.registerModel(_hash("model"), ROOT);
        _as(inspector);
        registry.withdrawModel(second, 0, ROOT);
        _as(inspector);
        uint40 third = registry.registerModel(_hash("model"), ROOT);
        assertEq(registry.sequenceOf(subject), third);
        _assertModel(second, IRegistry.ModelState.Withdrawn);
    }

    function test_sequenceCountsEveryRecord() public check {
        uint40 before = registry.sequence();
        _setRoles(buyer, Roles.BUYER);
        _addKey(buyer, _fresh);
        _registerMachine(maker, "x");
        assertEq(registry.sequence(), before + 4);
    }
}
