// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ILots} from "../src/interfaces/ILots.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {RegistryFixture} from "./RegistryFixture.sol";

/// @notice Companies that lost their keys get one again.
contract RecoveryTest is RegistryFixture {
    uint40 private constant DELAY = 14 days;

    /// @dev Before, a company whose keys were lost, and all goods that it held, were frozen for good.
    function test_H8_aKeylessCompanyIsRecovered() public check {
        _receive(maker, "held", 5);
        uint40 next = _expectEntry();
        emit IRegistry.RecoveryProposed(next, 0, _bytes32(maker.id), owner, maker.id, _fresh, uint40(START) + DELAY);
        _recover(maker, _fresh);
        assertEq(registry.recoveryOf(maker.id).key, _fresh);
        _warp(START + DELAY - 1);
        bytes memory early = abi.encodeWithSelector(IRegistry.RegistryRecoveryEarly.selector, maker.id, START + DELAY);
        _refuseKey(_fresh, early);
        registry.acceptRecovery(maker.id);
        _warp(START + DELAY);
        next = _expectEntry();
        emit IRegistry.RecoveryAccepted(next, maker.id, _bytes32(maker.id), _fresh);
        vm.prank(_fresh);
        registry.acceptRecovery(maker.id);
        (uint32 id, uint16 roles) = registry.actorOf(_fresh);
        assertEq(id, maker.id);
        assertEq(roles, Roles.MANUFACTURER);
        assertEq(registry.recoveryOf(maker.id).key, address(0));
        vm.prank(_fresh);
        ledger.scrapLot(_lotName(maker, "held"), 5, ILots.Disposition.Scrapped, ROOT);
    }

    /// @dev Keys in wrong hands neither act nor come back after it.
    function test_H8_recoveryEndsAllEarlierKeys() public check {
        address thief = makeAddress("thief");
        address accomplice = makeAddress("accomplice");
        _addKey(maker, thief);
        vm.prank(thief);
        registry.proposeKey(accomplice, Roles.ANY, true);
        _recover(maker, _fresh);
        _suspend(maker);
        _warp(START + DELAY);
        vm.prank(_fresh);
        registry.acceptRecovery(maker.id);
        bytes memory ended = abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, thief, START + DELAY);
        vm.expectRevert(ended);
        registry.actorOf(thief);
        _refuseKey(thief, ended);
        registry.revokeKey(_fresh, 0);
        vm.prank(owner);
        registry.reinstate(maker.id);
        _refuseKey(accomplice, abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, accomplice, maker.id));
        registry.acceptKey(maker.id);
        assertEq(registry.participantOf(maker.id).keys, 1);
        assertEq(registry.participantOf(maker.id).admins, 1);
        assertEq(registry.keyOf(thief).revokedAt, START + DELAY);
        vm.prank(_fresh);
        registry.revokeKey(thief, uint40(START));
        assertEq(registry.keyOf(thief).compromisedSince, START, "and may still be declared compromised");
        assertEq(registry.participantOf(maker.id).keys, 1);
        bytes memory setting = abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, maker.key, START + DELAY);
        _refuseKey(_fresh, setting);
        registry.setKey(maker.key, Roles.ANY, true);
    }

    function test_H8_aSecondRecoveryKeepsWhenKeysEnded() public check {
        _recover(maker, _fresh);
        _warp(START + DELAY);
        vm.prank(_fresh);
        registry.acceptRecovery(maker.id);
        address second = makeAddress("second");
        _recover(maker, second);
        _warp(START + 2 * DELAY);
        vm.prank(second);
        registry.acceptRecovery(maker.id);
        assertEq(registry.keyOf(maker.key).revokedAt, START + DELAY);
        assertEq(registry.keyOf(_fresh).revokedAt, START + 2 * DELAY);
        assertEq(registry.participantOf(maker.id).generation, 2);
    }

    function test_H8_anObjectionDelaysOnceAndIsOverruled() public check {
        _recover(maker, _fresh);
        _warp(START + DELAY - 1);
        uint40 effectiveAt = uint40(START) + 2 * DELAY - 1;
        uint40 next = _expectEntry();
        emit IRegistry.RecoveryObjected(next, maker.id, _bytes32(maker.id), maker.key, effectiveAt);
        _as(maker);
        registry.objectToRecovery();
        bytes memory objected = abi.encodeWithSelector(IRegistry.RegistryRecoveryObjected.selector, maker.id);
        _refuse(maker, objected);
        registry.objectToRecovery();
        bytes memory early = abi.encodeWithSelector(IRegistry.RegistryRecoveryEarly.selector, maker.id, effectiveAt);
        _warp(effectiveAt - 1);
        _refuseOwner(early);
        registry.overruleObjection(maker.id);
        _refuseKey(_fresh, early);
        registry.acceptRecovery(maker.id);
        _warp(effectiveAt);
        _refuseKey(_fresh, objected);
        registry.acceptRecovery(maker.id);
        next = _expectEntry();
        emit IRegistry.RecoveryOverruled(next, 0, _bytes32(maker.id), owner, maker.id);
        vm.prank(owner);
        registry.overruleObjection(maker.id);
        bytes memory undisputed = abi.encodeWithSelector(IRegistry.RegistryRecoveryUndisputed.selector, maker.id);
        _refuseOwner(undisputed);
        registry.overruleObjection(maker.id);
        vm.prank(_fresh);
        registry.acceptRecovery(maker.id);
        (uint32 id,) = registry.actorOf(_fresh);
        assertEq(id, maker.id);
    }

    function test_recoveryRefusals() public check {
        _refuse(buyer, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, buyer.key));
        registry.proposeRecovery(maker.id, _fresh);
        _refuse(buyer, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, buyer.key));
        registry.overruleObjection(maker.id);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryParticipantUnknown.selector, 99));
        registry.proposeRecovery(99, _fresh);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, buyer.key, buyer.id));
        registry.proposeRecovery(maker.id, buyer.key);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryRecoveryUndisputed.selector, maker.id));
        registry.overruleObjection(maker.id);
        bytes memory none =
            abi.encodeWithSelector(IRegistry.RegistryRecoveryNotProposed.selector, maker.id, address(0), address(0));
        _refuse(maker, none);
        registry.objectToRecovery();
        _recover(maker, _fresh);
        address other = makeAddress("other");
        _refuseKey(
            other, abi.encodeWithSelector(IRegistry.RegistryRecoveryNotProposed.selector, maker.id, other, _fresh)
        );
        registry.acceptRecovery(maker.id);
        _addKey(buyer, _fresh);
        _warp(START + DELAY);
        _refuseKey(_fresh, abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, _fresh, buyer.id));
        registry.acceptRecovery(maker.id);
    }

    /// @dev A new proposal begins anew: its delay, and the right to object.
    function test_aNewProposalReplacesTheRecovery() public check {
        _recover(maker, _fresh);
        _as(maker);
        registry.objectToRecovery();
        _warp(START + DELAY);
        address second = makeAddress("second");
        _recover(maker, second);
        _refuseKey(
            _fresh, abi.encodeWithSelector(IRegistry.RegistryRecoveryNotProposed.selector, maker.id, _fresh, second)
        );
        registry.acceptRecovery(maker.id);
        _refuseKey(
            second, abi.encodeWithSelector(IRegistry.RegistryRecoveryEarly.selector, maker.id, START + 2 * DELAY)
        );
        registry.acceptRecovery(maker.id);
        _as(maker);
        registry.objectToRecovery();
        assertTrue(registry.recoveryOf(maker.id).objected);
    }

    /// @dev A first key that was never accepted does not come into a company that was recovered since.
    function test_recoveryEndsTheProposedFirstKey() public check {
        vm.prank(owner);
        uint32 id = registry.admit(Roles.CARRIER, makeAddress("lost"), ROOT);
        vm.prank(owner);
        registry.proposeRecovery(id, _fresh);
        _warp(START + DELAY);
        vm.prank(_fresh);
        registry.acceptRecovery(id);
        address lost = makeAddress("lost");
        _refuseKey(lost, abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, lost, id));
        registry.acceptKey(id);
        assertEq(registry.participantOf(id).keys, 1);
    }

    function _recover(Party storage party, address key) private {
        vm.prank(owner);
        registry.proposeRecovery(party.id, key);
    }

    function _refuseKey(address key, bytes memory reason) private {
        vm.prank(key);
        vm.expectRevert(reason);
    }
}
