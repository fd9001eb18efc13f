// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {RegistryFixture} from "./RegistryFixture.sol";

/// @notice What a key may do, how a company gets rid of one, and what it can deny.
contract KeysTest is RegistryFixture {
    // ---- admin keys, and roles of keys ----

    /// @dev Before, any key of a company could add keys and revoke all others.
    function test_H9_aStolenKeyTakesNoCompany() public check {
        address box = _edgeBox();
        bytes memory notAdmin = abi.encodeWithSelector(IRegistry.RegistryKeyNotAdmin.selector, box, maker.id);
        vm.prank(box);
        vm.expectRevert(notAdmin);
        registry.proposeKey(_fresh, Roles.ANY, true);
        vm.prank(box);
        vm.expectRevert(notAdmin);
        registry.revokeKey(maker.key, 0);
        vm.prank(box);
        vm.expectRevert(notAdmin);
        registry.setKey(box, Roles.ANY, true);
        vm.prank(box);
        vm.expectRevert(notAdmin);
        registry.depart(ROOT);
        vm.prank(box);
        vm.expectRevert(notAdmin);
        registry.setNameKey(ROOT);
        vm.prank(box);
        vm.expectRevert(notAdmin);
        registry.objectToRecovery();
        _as(maker);
        registry.revokeKey(box, 0);
        assertEq(registry.participantOf(maker.id).keys, 1);
    }

    function test_H9_aKeyActsWithinItsRoles() public check {
        _setRoles(maker, Roles.MANUFACTURER | Roles.CARRIER);
        address box = _edgeBox();
        (uint32 id, uint16 roles) = registry.actorOf(box);
        assertEq(id, maker.id);
        assertEq(roles, Roles.MANUFACTURER, "its own and the company's");
        vm.prank(box);
        ledger.receiveLot(_hash("lot"), 5, PIECE, ROOT);
        _setRoles(maker, Roles.CARRIER);
        (, roles) = registry.actorOf(box);
        assertEq(roles, 0, "none that both have");
        bytes memory missing = abi.encodeWithSelector(IHistory.HistoryRoleMissing.selector, maker.id, 0, Roles.HOLDER);
        vm.prank(box);
        vm.expectRevert(missing);
        ledger.receiveLot(_hash("other"), 5, PIECE, ROOT);
    }

    function test_H9_anAdminKeyMayHaveNoRole() public check {
        _addKey(maker, _fresh, 0, true);
        (, uint16 roles) = registry.actorOf(_fresh);
        assertEq(roles, 0);
        vm.prank(_fresh);
        registry.revokeKey(maker.key, 0);
        assertEq(registry.participantOf(maker.id).admins, 1);
        bytes memory invalid = abi.encodeWithSelector(IRegistry.RegistryRolesInvalid.selector, 0);
        vm.prank(_fresh);
        vm.expectRevert(invalid);
        registry.proposeKey(makeAddress("useless"), 0, false);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryRolesInvalid.selector, 64));
        registry.proposeKey(makeAddress("useless"), 64, true);
    }

    function test_setKey() public check {
        address box = _edgeBox();
        uint40 next = _expectEntry();
        emit IRegistry.KeyChanged(next, maker.id, _bytes32(maker.id), maker.key, box, Roles.CARRIER, true);
        _as(maker);
        registry.setKey(box, Roles.CARRIER, true);
        assertEq(registry.participantOf(maker.id).admins, 2);
        assertEq(registry.keyOf(box).roles, Roles.CARRIER);
        vm.prank(box);
        registry.setKey(box, Roles.CARRIER, true);
        vm.prank(box);
        registry.setKey(maker.key, Roles.MANUFACTURER, false);
        assertEq(registry.participantOf(maker.id).admins, 1);
        bytes memory last = abi.encodeWithSelector(IRegistry.RegistryLastAdminKey.selector, maker.id, box);
        vm.prank(box);
        vm.expectRevert(last);
        registry.setKey(box, Roles.CARRIER, false);
        vm.prank(box);
        vm.expectRevert(last);
        registry.revokeKey(box, 0);
        vm.prank(box);
        registry.revokeKey(maker.key, 0);
        assertEq(registry.participantOf(maker.id).keys, 1);
    }

    function test_setKeyRefusals() public check {
        address box = _edgeBox();
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyForeign.selector, buyer.key, buyer.id));
        registry.setKey(buyer.key, Roles.ANY, true);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryRolesInvalid.selector, 0));
        registry.setKey(box, 0, false);
        _as(maker);
        registry.revokeKey(box, 0);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, box, START));
        registry.setKey(box, Roles.ANY, true);
        vm.prank(box);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyRevoked.selector, box, START));
        registry.proposeKey(_fresh, Roles.ANY, true);
        _suspend(maker);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, maker.id));
        registry.setKey(box, Roles.ANY, true);
    }

    function test_proposalLapsesWithItsProposersRights() public check {
        address second = makeAddress("second admin");
        _addKey(maker, second);
        vm.prank(second);
        registry.proposeKey(_fresh, Roles.ANY, true);
        _as(maker);
        registry.setKey(second, Roles.ANY, false);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, _fresh, maker.id));
        registry.acceptKey(maker.id);
    }

    /// @dev Before, suspending the thief stopped the cure as well.
    function test_G2_suspendedCompanyRevokesItsStolenKey() public check {
        address box = _edgeBox();
        _suspend(maker);
        uint40 next = _expectEntry();
        emit IRegistry.KeyRevoked(next, maker.id, _bytes32(maker.id), maker.key, box, uint40(START));
        _as(maker);
        registry.revokeKey(box, uint40(START));
        bytes memory suspended = abi.encodeWithSelector(IRegistry.RegistryParticipantSuspended.selector, maker.id);
        _refuse(maker, suspended);
        registry.proposeKey(_fresh, Roles.ANY, true);
        _refuse(maker, suspended);
        registry.setNameKey(ROOT);
        _refuse(maker, suspended);
        registry.objectToRecovery();
        _refuse(maker, suspended);
        registry.depart(ROOT);
    }

    // ---- what can be denied ----

    /// @dev Before, a key could be declared stolen since 1970.
    function test_M13_backdatingEndsAtTheKeysAddition() public check {
        _warp(START + 100);
        _addKey(maker, _fresh);
        _warp(START + 200);
        bytes memory early = abi.encodeWithSelector(IRegistry.RegistryTimeTooEarly.selector, START + 99, START + 100);
        _refuse(maker, early);
        registry.revokeKey(_fresh, uint40(START + 99));
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryTimeTooEarly.selector, 1, START + 100));
        registry.revokeKey(_fresh, 1);
        _as(maker);
        registry.revokeKey(_fresh, 0);
        assertEq(registry.keyOf(_fresh).declaredAt, 0, "nothing was declared");
        _refuse(maker, early);
        registry.revokeKey(_fresh, uint40(START + 99));
    }

    /// @dev A loss reported at once reads differently from one remembered years later.
    function test_M13_aDeclarationIsDated() public check {
        _addKey(maker, _fresh);
        _warp(START + 10);
        _as(maker);
        registry.revokeKey(_fresh, uint40(START + 5));
        assertEq(registry.keyOf(_fresh).declaredAt, START + 10);
        _warp(START + 3 * 365 days);
        _as(maker);
        registry.revokeKey(_fresh, uint40(START));
        assertEq(registry.keyOf(_fresh).compromisedSince, START);
        assertEq(registry.keyOf(_fresh).declaredAt, START + 3 * 365 days);
        assertEq(registry.keyOf(_fresh).revokedAt, START + 10);
    }

    // ---- standing, for gates ----

    function test_H10_standingOfIssuerAndKey() public check {
        _warp(START + 100);
        address gauge = makeAddress("gauge");
        _addKey(inspector, gauge, Roles.INSPECTOR, false);
        _assertIssuance(gauge, uint40(START + 99), inspector.id, Roles.INSPECTOR, false, true);
        _assertIssuance(gauge, uint40(START + 100), inspector.id, Roles.INSPECTOR, true, true);
        _warp(START + 200);
        _as(inspector);
        registry.revokeKey(gauge, 0);
        _assertIssuance(gauge, uint40(START + 150), inspector.id, Roles.INSPECTOR, true, true);
        _as(inspector);
        registry.revokeKey(gauge, uint40(START + 150));
        _assertIssuance(gauge, uint40(START + 149), inspector.id, Roles.INSPECTOR, true, true);
        _assertIssuance(gauge, uint40(START + 150), inspector.id, Roles.INSPECTOR, false, true);
        _suspend(inspector);
        _assertIssuance(gauge, uint40(START + 149), inspector.id, 0, true, true);
        _assertIssuance(_fresh, uint40(START + 149), 0, 0, false, true);
    }

    function test_H10_standingOfTheModel() public check {
        _warp(START + 100);
        _assertStands(0, uint40(START), false);
        _assertStands(999, uint40(START), false);
        _as(inspector);
        uint40 registered = registry.registerModel(_hash("new"), ROOT);
        _assertStands(registered, uint40(START), false);
        _assertStands(model, uint40(START), true);
        _retireModel(model);
        _assertStands(model, uint40(START), true);
        _as(auditor);
        registry.withdrawModel(model, uint40(START + 50), ROOT);
        _assertStands(model, uint40(START + 49), true);
        _assertStands(model, uint40(START + 50), false);
        _withdrawModel(model2);
        _assertStands(model2, uint40(START), false);
    }

    // ---- departure and admission ----

    /// @dev Before, a company could only be suspended, under an accusing name.
    function test_L1_aCompanyLeaves() public check {
        _addKey(maker, _fresh);
        uint40 next = _expectEntry();
        emit IRegistry.ParticipantDeparted(next, maker.id, _bytes32(maker.id), maker.key, ROOT);
        _as(maker);
        registry.depart(ROOT);
        assertTrue(registry.participantOf(maker.id).departed);
        assertFalse(registry.participantOf(maker.id).suspended);
        assertEq(registry.rolesOf(maker.id), 0);
        bytes memory departed = abi.encodeWithSelector(IRegistry.RegistryParticipantDeparted.selector, maker.id);
        vm.expectRevert(departed);
        registry.actorOf(_fresh);
        _refuse(maker, departed);
        ledger.receiveLot(_hash("lot"), 5, PIECE, ROOT);
        _refuse(maker, departed);
        registry.depart(ROOT);
        _refuseOwner(departed);
        registry.suspend(maker.id, ROOT);
        _as(maker);
        registry.revokeKey(_fresh, 0);
        vm.prank(owner);
        registry.reinstate(maker.id);
        _receive(maker, "lot", 5);
    }

    /// @dev Before, the address named at admission belonged to the company for good, with or without its holder's consent.
    function test_L2_theFirstKeyConsents() public check {
        vm.prank(owner);
        assertEq(registry.admit(Roles.CARRIER, _fresh, ROOT), 10);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyUnknown.selector, _fresh));
        registry.actorOf(_fresh);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryKeyNotProposed.selector, maker.key, 10));
        registry.acceptKey(10);
        _as(maker);
        registry.proposeKey(_fresh, Roles.MANUFACTURER, false);
        vm.prank(_fresh);
        registry.acceptKey(maker.id);
        assertEq(registry.participantOf(10).keys, 0, "the holder chose another company");
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryKeyTaken.selector, _fresh, maker.id));
        registry.acceptKey(10);
    }

    function test_L2_theFirstKeyAdministers() public check {
        vm.prank(owner);
        registry.admit(Roles.CARRIER, _fresh, ROOT);
        vm.prank(_fresh);
        registry.acceptKey(10);
        IRegistry.Key memory key = registry.keyOf(_fresh);
        assertTrue(key.admin);
        assertEq(key.roles, Roles.ANY);
        vm.prank(_fresh);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryLastAdminKey.selector, 10, _fresh));
        registry.revokeKey(_fresh, 0);
    }

    /// @dev One name of a machine or model in all its records, as of a participant: before, the record that registered it
    /// had another subject than all later ones.
    function test_L3_oneSubjectForAllRecordsOfAThing() public check {
        uint40 next = _expectEntry();
        emit IRegistry.MachineRegistered(next, maker.id, _bytes32(next), maker.key, _hash("lathe"), ROOT);
        _registerMachine(maker, "lathe");
        uint40 retired = _expectEntry();
        emit IRegistry.MachineRetired(retired, maker.id, _bytes32(next), maker.key, next, ROOT);
        _as(maker);
        registry.retireMachine(next, ROOT);
        uint40 number = _expectEntry();
        emit IRegistry.ModelRegistered(number, inspector.id, _bytes32(number), inspector.key, _hash("new"), ROOT);
        _as(inspector);
        registry.registerModel(_hash("new"), ROOT);
        next = _expectEntry();
        emit IRegistry.ModelApproved(next, auditor.id, _bytes32(number), auditor.key, number, ROOT);
        _as(auditor);
        registry.approveModel(number, ROOT);
    }

    // ---- name keys and publications ----

    function test_setNameKey() public check {
        uint40 next = _expectEntry();
        emit IRegistry.NameKeySet(next, maker.id, _bytes32(maker.id), maker.key, LEAF);
        _as(maker);
        registry.setNameKey(LEAF);
        _warp(START + 5);
        _as(maker);
        registry.setNameKey(ROOT);
        assertEq(registry.participantOf(maker.id).nameKeys, 2);
        _expectNameKey(0, IRegistry.NameKey(LEAF, uint40(START), next));
        _expectNameKey(1, IRegistry.NameKey(ROOT, uint40(START + 5), next + 1));
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryNameKeyUsed.selector, maker.id, 0));
        registry.setNameKey(LEAF);
        _refuse(maker, abi.encodeWithSelector(IRegistry.RegistryDigestMissing.selector));
        registry.setNameKey(0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RegistryNameKeyUnknown.selector, maker.id, 2));
        registry.nameKeyOf(maker.id, 2);
    }

    function _expectNameKey(uint16 index, IRegistry.NameKey memory expected) private view {
        assertEq(abi.encode(registry.nameKeyOf(maker.id, index)), abi.encode(expected));
    }

    function test_publish() public check {
        uint40 next = _expectEntry();
        emit IRegistry.Published(next, 0, 0, owner, 1, LEAF);
        vm.prank(owner);
        registry.publish(1, LEAF);
        assertEq(registry.publishedOf(1), LEAF);
        vm.prank(owner);
        registry.publish(1, ROOT);
        assertEq(registry.publishedOf(1), ROOT, "the latest");
        assertEq(registry.publishedOf(2), 0);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryKindMissing.selector));
        registry.publish(0, ROOT);
        _refuseOwner(abi.encodeWithSelector(IRegistry.RegistryDigestMissing.selector));
        registry.publish(1, 0);
    }

    // ---- inside ----

    /// @dev A key that manufactures, and no more.
    function _edgeBox() private returns (address box) {
        box = makeAddress("edge box");
        _addKey(maker, box, Roles.MANUFACTURER, false);
    }

    function _assertIssuance(address key, uint40 time, uint32 id, uint16 held, bool counting, bool standing)
        private
        view
    {
        (uint32 participant, uint16 roles, uint40 countsFrom, uint40 countsBefore, uint40 standsBefore) =
            registry.issuanceOf(key, model);
        assertEq(participant, id);
        assertEq(roles, held, "roles");
        assertEq(time >= countsFrom && time < countsBefore, counting);
        assertEq(time < standsBefore, standing);
    }

    function _assertStands(uint40 number, uint40 time, bool standing) private view {
        (,,,, uint40 standsBefore) = registry.issuanceOf(inspector.key, number);
        assertEq(time < standsBefore, standing);
    }
}
