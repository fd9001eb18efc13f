// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvaluator} from "../src/interfaces/IEvaluator.sol";
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
        (uint16 coordinating, uint16 inspecting, IRegistry.ModelState state) =
            registry.standingOf(coordinator.id, inspector.id, model);
        assertEq(coordinating, Roles.COORDINATOR);
        assertEq(inspecting, Roles.INSPECTOR);
        assertEq(uint256(state), uint256(IRegistry.ModelState.Approved));
        _assertStanding(0, 0, 0);
        _assertStanding(99, 98, 97);
        _suspend(inspector);
        _assertStanding(coordinator.id, inspector.id, model);
        (, inspecting,) = registry.standingOf(coordinator.id, inspector.id, model);
        assertEq(inspecting, 0, "suspended");
        _suspend(coordinator);
        (coordinating,,) = registry.standingOf(coordinator.id, inspector2.id, model2);
        assertEq(coordinating, 0, "suspended");
        _withdrawModel(model);
        (,, state) = registry.standingOf(coordinator.id, inspector.id, model);
        assertEq(uint256(state), uint256(IRegistry.ModelState.Withdrawn));
    }

    function testFuzz_standing(uint32 first, uint32 second, uint40 number) public view {
        _assertStanding(first % 12, second % 12, number % 24);
    }

    function test_publishModel() public check {
        bytes memory content = Models.uniform(3, 1, 0, 1);
        bytes32 digest = sha256(content);
        bytes32 subject = Subjects.derive(Subjects.Kind.Model, inspector.id, digest);
        uint40 next = registry.sequence() + 1;
        // the registry's first contract was the evaluator
        address code = vm.computeCreateAddress(address(registry), 2);
        vm.expectEmit(address(registry));
        emit IRegistry.ModelPublished(next, inspector.id, subject, inspector.key, digest, code, LEAF);
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
        emit IRegistry.ModelRegistered(next, inspector.id, subject, inspector.key, _hash("new"), ROOT);
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

    function test_sequenceCountsEveryRecord() public check {
        uint40 before = registry.sequence();
        _setRoles(buyer, Roles.BUYER);
        _addKey(buyer, _fresh);
        _registerMachine(maker, "x");
        assertEq(registry.sequence(), before + 4);
    }
}
