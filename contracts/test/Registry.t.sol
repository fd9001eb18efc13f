// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Registry} from "../src/Registry.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IEvaluator} from "../src/interfaces/IEvaluator.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {Fixture} from "./Fixture.sol";
import {Models} from "./Models.sol";

contract RegistryTest is Fixture {
    address private _fresh;

    function setUp() public override {
        super.setUp();
        _fresh = makeAddress("fresh");
    }

    // ---- participants ----

    function test_admit() public check {
        uint40 next = _expectEntry();
        emit IRegistry.ParticipantAdmitted(next, 0, _bytes32(10), owner, 10, Roles.CARRIER, _fresh, ROOT);
        vm.prank(owner);
        assertEq(registry.admit(Roles.CARRIER, _fresh, ROOT), 10);
        (uint32 id, uint16 roles) = registry.actorOf(_fresh);
        assertEq(id, 10);
        assertEq(roles, Roles.CARRIER);
        assertEq(registry.rolesOf(10), Roles.CARRIER);
        assertEq(registry.participantOf(10).keys, 1);
        assertEq(registry.participantOf(10).sequence, next);
        assertEq(registry.keyOf(_fresh).addedAt, block.timestamp);
    }

    function test_admitWithInvalidRoles() public check {
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryRolesInvalid.selector, 0));
        registry.admit(0, _fresh, ROOT);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryRolesInvalid.selector, 65));
        registry.admit(65, _fresh, ROOT);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryRolesInvalid.selector, 64));
        registry.setRoles(buyer.id, 64);
    }

    function test_admitWithTakenKey() public check {
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, buyer.key, buyer.id));
        registry.admit(Roles.BUYER, buyer.key, ROOT);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, address(0), 0));
        registry.admit(Roles.BUYER, address(0), ROOT);
    }

    function test_setRoles() public check {
        uint40 next = _expectEntry();
        emit IRegistry.RolesSet(next, 0, _bytes32(buyer.id), owner, buyer.id, Roles.ANY);
        _setRoles(buyer, Roles.ANY);
        assertEq(registry.rolesOf(buyer.id), Roles.ANY);
    }

    function test_suspendAndReinstate() public check {
        uint40 next = _expectEntry();
        emit IRegistry.ParticipantSuspended(next, 0, _bytes32(buyer.id), owner, buyer.id, ROOT);
        _suspend(buyer);
        bytes memory suspended = abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, buyer.id);
        assertEq(registry.rolesOf(buyer.id), 0);
        assertTrue(registry.participantOf(buyer.id).suspended);
        vm.expectRevert(suspended);
        registry.actorOf(buyer.key);
        _refuseOwner(suspended);
        registry.suspend(buyer.id, ROOT);
        _refuse(buyer, suspended);
        registry.proposeKey(_fresh);
        next = _expectEntry();
        emit IRegistry.ParticipantReinstated(next, 0, _bytes32(buyer.id), owner, buyer.id);
        vm.prank(owner);
        registry.reinstate(buyer.id);
        assertEq(registry.rolesOf(buyer.id), Roles.BUYER);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryParticipantNotSuspended.selector, buyer.id));
        registry.reinstate(buyer.id);
    }

    function test_unknownParticipant() public check {
        bytes memory reason = abi.encodeWithSelector(IRegistry.RegistryParticipantUnknown.selector, 99);
        _refuseOwner(reason);
        registry.setRoles(99, Roles.BUYER);
        _refuseOwner(reason);
        registry.suspend(99, ROOT);
        _refuseOwner(reason);
        registry.reinstate(99);
        assertEq(registry.rolesOf(99), 0);
        assertEq(registry.participantOf(99).sequence, 0);
    }

    function test_onlyTheOwnerAdministers() public check {
        bytes memory reason = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, buyer.key);
        _refuse(buyer, reason);
        registry.admit(Roles.BUYER, _fresh, ROOT);
        _refuse(buyer, reason);
        registry.setRoles(buyer.id, Roles.ANY);
        _refuse(buyer, reason);
        registry.suspend(maker.id, ROOT);
        _refuse(buyer, reason);
        registry.reinstate(maker.id);
        _refuse(buyer, reason);
        registry.renounceOwnership();
        _refuse(buyer, reason);
        registry.transferOwnership(buyer.key);
    }

    function test_ownershipMovesInTwoSteps() public check {
        vm.prank(owner);
        registry.transferOwnership(_fresh);
        assertEq(registry.owner(), owner);
        assertEq(registry.pendingOwner(), _fresh);
        _refuse(buyer, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, buyer.key));
        registry.acceptOwnership();
        vm.prank(_fresh);
        registry.acceptOwnership();
        assertEq(registry.owner(), _fresh);
        vm.prank(_fresh);
        registry.suspend(buyer.id, ROOT);
        vm.prank(_fresh);
        vm.expectRevert(IRegistry.RegistryOwnerRequired.selector);
        registry.renounceOwnership();
    }

    function test_predecessor() public {
        assertEq(registry.predecessor(), address(0));
        assertEq(new Registry(owner, address(0), address(registry)).predecessor(), address(registry));
    }

    // ---- keys ----

    function test_rotateKey() public check {
        uint40 next = _expectEntry();
        emit IRegistry.KeyProposed(next, maker.id, _bytes32(maker.id), maker.key, _fresh);
        _as(maker);
        registry.proposeKey(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, _fresh));
        registry.actorOf(_fresh);
        next = _expectEntry();
        emit IRegistry.KeyAdded(next, maker.id, _bytes32(maker.id), _fresh);
        vm.prank(_fresh);
        registry.acceptKey(maker.id);
        assertEq(registry.participantOf(maker.id).keys, 2);
        next = _expectEntry();
        emit IRegistry.KeyRevoked(next, maker.id, _bytes32(maker.id), _fresh, maker.key, uint40(START - 100));
        vm.prank(_fresh);
        registry.revokeKey(maker.key, uint40(START - 100));
        IRegistry.Key memory old = registry.keyOf(maker.key);
        assertEq(old.participant, maker.id);
        assertEq(old.revokedAt, block.timestamp);
        assertEq(old.compromisedSince, START - 100);
        assertEq(registry.participantOf(maker.id).keys, 1);
        bytes memory revoked = abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, maker.key, START);
        vm.expectRevert(revoked);
        registry.actorOf(maker.key);
        _refuse(maker, revoked);
        registry.proposeKey(makeAddress("other"));
    }

    function test_keyRevokesItselfWhenAnotherStays() public check {
        _addKey(maker, _fresh);
        _as(maker);
        registry.revokeKey(maker.key, 0);
        assertEq(registry.keyOf(maker.key).compromisedSince, 0);
        assertEq(registry.participantOf(maker.id).keys, 1);
    }

    function test_lastKeyStays() public check {
        bytes memory reason = abi.encodeWithSelector(IRegistry.RegistryLastKey.selector, maker.id, maker.key);
        _refuse(maker, reason);
        registry.revokeKey(maker.key, 0);
        _as(maker);
        registry.proposeKey(_fresh);
        _refuse(maker, reason);
        registry.revokeKey(maker.key, 0);
    }

    function test_revokedKeyIsNeverUsedAgain() public check {
        _addKey(maker, _fresh);
        _as(maker);
        registry.revokeKey(_fresh, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, _fresh, START));
        registry.revokeKey(_fresh, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, _fresh, maker.id));
        registry.proposeKey(_fresh);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, _fresh, maker.id));
        registry.admit(Roles.BUYER, _fresh, ROOT);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker.id));
        registry.acceptKey(maker.id);
    }

    function test_foreignKeysAreOutOfReach() public check {
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyForeign.selector, buyer.key, buyer.id));
        registry.revokeKey(buyer.key, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyForeign.selector, _fresh, 0));
        registry.revokeKey(_fresh, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, buyer.key, buyer.id));
        registry.proposeKey(buyer.key);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, address(0), 0));
        registry.proposeKey(address(0));
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, _fresh));
        registry.proposeKey(_fresh);
    }

    function test_compromiseInTheFuture() public check {
        _addKey(maker, _fresh);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryTimeInFuture.selector, START + 1));
        registry.revokeKey(_fresh, uint40(START + 1));
        _as(maker);
        registry.revokeKey(_fresh, uint40(START));
    }

    // ---- attempts to take a company over ----

    function test_nobodyJoinsUninvited() public check {
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker.id));
        registry.acceptKey(maker.id);
        _as(maker);
        registry.proposeKey(_fresh);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker2.id));
        registry.acceptKey(maker2.id);
        _refuse(carrier, abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, carrier.key, maker.id));
        registry.acceptKey(maker.id);
    }

    function test_keyProposedByTwoJoinsOne() public check {
        _as(maker);
        registry.proposeKey(_fresh);
        _as(maker2);
        registry.proposeKey(_fresh);
        vm.prank(_fresh);
        registry.acceptKey(maker2.id);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, _fresh, maker2.id));
        registry.acceptKey(maker.id);
        (uint32 id,) = registry.actorOf(_fresh);
        assertEq(id, maker2.id);
    }

    /// @dev Whoever held a stolen key cannot come back through a key that it proposed before it was revoked.
    function test_proposalLapsesWithTheKeyThatMadeIt() public check {
        address stolen = makeAddress("stolen");
        _addKey(maker, stolen);
        vm.prank(stolen);
        registry.proposeKey(_fresh);
        _as(maker);
        registry.revokeKey(stolen, uint40(START));
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker.id));
        registry.acceptKey(maker.id);
        _addKey(maker, _fresh);
    }

    function test_suspendedCompanyTakesNoKey() public check {
        _as(maker);
        registry.proposeKey(_fresh);
        _suspend(maker);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, maker.id));
        registry.acceptKey(maker.id);
    }

    function test_ownerCannotAddKeysToACompany() public check {
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, owner));
        registry.proposeKey(_fresh);
    }

    // ---- machines ----

    function test_registerMachine() public check {
        bytes32 subject = _subject(Subjects.Kind.Machine, maker, "lathe");
        uint40 next = _expectEntry();
        emit IRegistry.MachineRegistered(next, maker.id, subject, maker.key, ROOT);
        assertEq(_registerMachine(maker, "lathe"), next);
        assertEq(registry.sequenceOf(subject), next);
        assertEq(registry.machineOf(next).owner, maker.id);
        assertEq(registry.ownerOfMachine(next), maker.id);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistrySubjectTaken.selector, subject, next));
        registry.registerMachine(_hash("lathe"), ROOT);
        assertNotEq(_registerMachine(maker2, "lathe"), next);
    }

    function test_retireMachine() public check {
        uint40 next = _expectEntry();
        emit IRegistry.MachineRetired(next, maker.id, _bytes32(machine), maker.key, machine, ROOT);
        _as(maker);
        registry.retireMachine(machine, ROOT);
        assertEq(registry.machineOf(machine).retiredAt, START);
        bytes memory reason = abi.encodeWithSelector(IRegistry.RegistryMachineRetired.selector, machine, START);
        vm.expectRevert(reason);
        registry.ownerOfMachine(machine);
        _refuse(maker, reason);
        registry.retireMachine(machine, ROOT);
    }

    function test_machineRefusals() public check {
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryMachineUnknown.selector, 999));
        registry.retireMachine(999, ROOT);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryMachineUnknown.selector, 999));
        registry.machineOf(999);
        _refuse(maker2, abi.encodeWithSelector(IRegistry.RegistryMachineForeign.selector, machine, maker.id));
        registry.retireMachine(machine, ROOT);
        bytes memory reason = _missing(buyer, Roles.BUYER, Roles.MANUFACTURER | Roles.INSPECTOR);
        _refuse(buyer, reason);
        registry.registerMachine(_hash("lathe"), ROOT);
        _refuse(buyer, reason);
        registry.retireMachine(machine, ROOT);
    }

    // ---- models ----

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

    // ---- inside ----

    function _assertStanding(uint32 first, uint32 second, uint40 number) private view {
        (uint16 coordinating, uint16 inspecting, IRegistry.ModelState state) =
            registry.standingOf(first, second, number);
        assertEq(coordinating, registry.rolesOf(first));
        assertEq(inspecting, registry.rolesOf(second));
        assertEq(uint256(state), uint256(registry.stateOfModel(number)));
    }

    function _addKey(Party storage party, address key) private {
        _as(party);
        registry.proposeKey(key);
        vm.prank(key);
        registry.acceptKey(party.id);
    }

    function _expectEntry() private returns (uint40 next) {
        next = registry.sequence() + 1;
        vm.expectEmit(address(registry));
    }

    function _refuseOwner(bytes memory reason) private {
        vm.prank(owner);
        vm.expectRevert(reason);
    }

    function _bytes32(uint256 value) private pure returns (bytes32) {
        return bytes32(value);
    }

    function _missing(Party storage party, uint16 held, uint16 needed) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRegistry.RegistryRoleMissing.selector, party.id, held, needed);
    }

    function _stateWrong(uint40 number, IRegistry.ModelState state) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IRegistry.RegistryModelState.selector, number, state);
    }
}
