// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Registry} from "../src/Registry.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Subjects} from "../src/libraries/Subjects.sol";
import {RegistryFixture} from "./RegistryFixture.sol";

/// @notice Participants, keys and machines.
contract RegistryTest is RegistryFixture {
    // ---- participants ----

    function test_admit() public check {
        uint40 next = _expectEntry();
        emit IRegistry.ParticipantAdmitted(next, 0, _bytes32(10), owner, 10, Roles.CARRIER, _fresh, ROOT);
        vm.prank(owner);
        assertEq(registry.admit(Roles.CARRIER, _fresh, ROOT), 10);
        assertEq(registry.participantOf(10).keys, 0);
        next = _expectEntry();
        emit IRegistry.KeyAdded(next, 10, _bytes32(10), _fresh, Roles.ANY, true);
        vm.prank(_fresh);
        registry.acceptKey(10);
        (uint32 id, uint16 roles) = registry.actorOf(_fresh);
        assertEq(id, 10);
        assertEq(roles, Roles.CARRIER);
        assertEq(registry.rolesOf(10), Roles.CARRIER);
        assertEq(registry.participantOf(10).keys, 1);
        assertEq(registry.participantOf(10).admins, 1);
        assertEq(registry.participantOf(10).sequence, next - 1);
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
        registry.proposeKey(_fresh, Roles.ANY, true);
        next = _expectEntry();
        emit IRegistry.ParticipantReinstated(next, 0, _bytes32(buyer.id), owner, buyer.id);
        vm.prank(owner);
        registry.reinstate(buyer.id);
        assertEq(registry.rolesOf(buyer.id), Roles.BUYER);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryParticipantActive.selector, buyer.id));
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
        _warp(START + 200);
        uint40 next = _expectEntry();
        emit IRegistry.KeyProposed(next, maker.id, _bytes32(maker.id), maker.key, _fresh, Roles.ANY, true);
        _as(maker);
        registry.proposeKey(_fresh, Roles.ANY, true);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, _fresh));
        registry.actorOf(_fresh);
        next = _expectEntry();
        emit IRegistry.KeyAdded(next, maker.id, _bytes32(maker.id), _fresh, Roles.ANY, true);
        vm.prank(_fresh);
        registry.acceptKey(maker.id);
        assertEq(registry.participantOf(maker.id).keys, 2);
        next = _expectEntry();
        emit IRegistry.KeyRevoked(next, maker.id, _bytes32(maker.id), _fresh, maker.key, uint40(START + 100));
        vm.prank(_fresh);
        registry.revokeKey(maker.key, uint40(START + 100));
        IRegistry.Key memory old = registry.keyOf(maker.key);
        assertEq(old.participant, maker.id);
        assertEq(old.revokedAt, block.timestamp);
        assertEq(old.compromisedSince, START + 100);
        assertEq(old.declaredAt, START + 200);
        assertEq(registry.participantOf(maker.id).keys, 1);
        bytes memory revoked = abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, maker.key, START + 200);
        vm.expectRevert(revoked);
        registry.actorOf(maker.key);
        _refuse(maker, revoked);
        registry.proposeKey(makeAddress("other"), Roles.ANY, true);
    }

    function test_keyRevokesItselfWhenAnotherStays() public check {
        _addKey(maker, _fresh);
        _as(maker);
        registry.revokeKey(maker.key, 0);
        assertEq(registry.keyOf(maker.key).compromisedSince, 0);
        assertEq(registry.participantOf(maker.id).keys, 1);
    }

    function test_lastAdminKeyStays() public check {
        bytes memory reason = abi.encodeWithSelector(IRegistry.RegistryLastAdminKey.selector, maker.id, maker.key);
        _refuse(maker, reason);
        registry.revokeKey(maker.key, 0);
        _as(maker);
        registry.proposeKey(_fresh, Roles.ANY, true);
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
        registry.proposeKey(_fresh, Roles.ANY, true);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, _fresh, maker.id));
        registry.admit(Roles.BUYER, _fresh, ROOT);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker.id));
        registry.acceptKey(maker.id);
    }

    /// @dev It was merely retired; later it turns out that others had used it. Doubt grows, and is never taken back.
    function test_retiredKeyIsDeclaredCompromisedLater() public check {
        _addKey(maker, _fresh);
        _warp(START + 10);
        _as(maker);
        registry.revokeKey(_fresh, 0);
        _warp(START + 20);
        bytes memory known = abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, _fresh, START + 10);
        _refuse(maker, known);
        registry.revokeKey(_fresh, uint40(START + 10));
        uint40 next = _expectEntry();
        emit IRegistry.KeyRevoked(next, maker.id, _bytes32(maker.id), maker.key, _fresh, uint40(START + 5));
        _as(maker);
        registry.revokeKey(_fresh, uint40(START + 5));
        assertEq(registry.keyOf(_fresh).compromisedSince, START + 5);
        assertEq(registry.keyOf(_fresh).revokedAt, START + 10, "revoked since the first time");
        assertEq(registry.participantOf(maker.id).keys, 1);
        uint40[3] memory later = [uint40(0), uint40(START + 5), uint40(START + 6)];
        for (uint256 i; i < 3; ++i) {
            _refuse(maker, known);
            registry.revokeKey(_fresh, later[i]);
        }
        _as(maker);
        registry.revokeKey(_fresh, uint40(START + 4));
        assertEq(registry.keyOf(_fresh).compromisedSince, START + 4);
        _refuse(buyer, abi.encodeWithSelector(IRegistry.RegistryKeyForeign.selector, _fresh, maker.id));
        registry.revokeKey(_fresh, uint40(START + 1));
    }

    function test_foreignKeysAreOutOfReach() public check {
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyForeign.selector, buyer.key, buyer.id));
        registry.revokeKey(buyer.key, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyForeign.selector, _fresh, 0));
        registry.revokeKey(_fresh, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, buyer.key, buyer.id));
        registry.proposeKey(buyer.key, Roles.ANY, true);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, address(0), 0));
        registry.proposeKey(address(0), Roles.ANY, true);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, _fresh));
        registry.proposeKey(_fresh, Roles.ANY, true);
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
        registry.proposeKey(_fresh, Roles.ANY, true);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker2.id));
        registry.acceptKey(maker2.id);
        _refuse(carrier, abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, carrier.key, maker.id));
        registry.acceptKey(maker.id);
    }

    function test_keyProposedByTwoJoinsOne() public check {
        _as(maker);
        registry.proposeKey(_fresh, Roles.ANY, true);
        _as(maker2);
        registry.proposeKey(_fresh, Roles.ANY, true);
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
        registry.proposeKey(_fresh, Roles.ANY, true);
        _as(maker);
        registry.revokeKey(stolen, uint40(START));
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker.id));
        registry.acceptKey(maker.id);
        _addKey(maker, _fresh);
    }

    function test_suspendedCompanyTakesNoKey() public check {
        _as(maker);
        registry.proposeKey(_fresh, Roles.ANY, true);
        _suspend(maker);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, maker.id));
        registry.acceptKey(maker.id);
    }

    function test_ownerCannotAddKeysToACompany() public check {
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, owner));
        registry.proposeKey(_fresh, Roles.ANY, true);
    }

    // ---- machines ----

    function test_registerMachine() public check {
        bytes32 subject = _subject(Subjects.Kind.Machine, maker, "lathe");
        uint40 next = _expectEntry();
        emit IRegistry.MachineRegistered(next, maker.id, _bytes32(next), maker.key, _hash("lathe"), ROOT);
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
}
