// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC2771Forwarder} from "@openzeppelin/contracts/metatx/ERC2771Forwarder.sol";
import {Forwarder} from "../src/Forwarder.sol";
import {ICouncil} from "../src/interfaces/ICouncil.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {IHistory} from "../src/interfaces/IHistory.sol";
import {INotes} from "../src/interfaces/INotes.sol";
import {IOrders} from "../src/interfaces/IOrders.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {AccessRows} from "./AccessRows.sol";

/// @notice Every state-changing function with every kind of caller. Each row is a call that its rightful party may make
/// now; each cell makes it as somebody else, or with that party's roles replaced by a single one. Cells are reported as
/// events: tests/contracts/test_access_matrix.py fails when a function of the ABI has no row.
contract AccessMatrixTest is AccessRows {
    /// @dev The first six: the party itself, holding that one role.
    enum Caller {
        Buyer,
        Coordinator,
        Manufacturer,
        Inspector,
        Carrier,
        Auditor,
        UnknownKey,
        RevokedKey,
        Suspended,
        Owner,
        /// Another company that holds every role.
        Stranger
    }

    uint256 private constant CALLERS = uint256(type(Caller).max) + 1;

    /// @notice Whether a view answered.
    event Sight(bytes4 indexed selector, Caller indexed caller, bool answered);
    event Cell(bytes4 indexed selector, Caller indexed caller, bool allowed);

    function setUp() public override {
        super.setUp();
        _publish();
        _stranger = _admit("company with all roles", Roles.ANY);
        _as(auditor);
        registry.setNameKey(LEAF);
        (_nobody.key, _nobody.secret) = makeKey("nobody");
        _spare = makeAddress("spare key");
        _addOwnerRows();
        _addRegistryRows();
        _addOrderRows();
        _addAssignmentRows();
        _addLotRows();
        _addCustodyRows();
        _addCertificateRows();
        _addForwarderRows();
        _addCouncilRows();
        _addRecoveryRows(); // last: time passes
    }

    function test_everyFunctionByEveryCaller() public {
        vm.pauseGasMetering();
        uint256 start = vm.snapshotState();
        for (uint256 i; i < _rows.length; ++i) {
            for (uint256 j; j < CALLERS; ++j) {
                _checkCell(_rows[i], Caller(j));
                vm.revertToState(start);
            }
        }
        for (uint256 i; i < _rows.length; ++i) {
            for (uint256 j; j < CALLERS; ++j) {
                emit Cell(bytes4(_rows[i].data), Caller(j), _mayCall(_rows[i], Caller(j)));
            }
        }
    }

    /// @dev Whoever can see the chain can see all of it: no view asks who calls.
    function test_everyViewByEveryCaller() public {
        vm.pauseGasMetering();
        bytes32 lot = _receive(maker, "seen", 5);
        bytes32 order = _startedOrder("seen");
        _addViews(order, lot);
        bool[] memory answered = new bool[](_views.length * CALLERS);
        uint256 start = vm.snapshotState();
        for (uint256 i; i < _views.length; ++i) {
            for (uint256 j; j < CALLERS; ++j) {
                answered[i * CALLERS + j] = _answers(_views[i], Caller(j));
                vm.revertToState(start);
            }
        }
        for (uint256 i; i < answered.length; ++i) {
            bytes4 selector = bytes4(_views[i / CALLERS].data);
            bool shut = selector == registry.renounceOwnership.selector; // for everybody: nothing but an error
            assertTrue(answered[i] != shut, string.concat("view cell ", vm.toString(i)));
            emit Sight(selector, Caller(i % CALLERS), answered[i]);
        }
    }

    function _answers(Row memory row, Caller caller) private returns (bool done) {
        address sender = _senderOf(row, caller);
        vm.prank(sender);
        (done,) = row.target.staticcall(row.data);
    }

    // ---- cells ----

    function _checkCell(Row memory row, Caller caller) private {
        address sender = _senderOf(row, caller);
        vm.prank(sender);
        (bool done, bytes memory answer) = row.target.call(row.data);
        string memory place = string.concat("row ", vm.toString(uint256(bytes32(row.data)) >> 224), ", caller ");
        assertTrue(done == _mayCall(row, caller), string.concat(place, vm.toString(uint256(caller))));
        if (!done) {
            assertTrue(_isReason(row, caller, bytes4(answer)), string.concat(place, "refused for no good reason"));
        }
    }

    function _mayCall(Row memory row, Caller caller) private view returns (bool) {
        if (bytes4(row.data) == registry.multicall.selector) return true; // an empty batch: the calls in it decide
        if (row.target == address(forwarder)) return false; // the signature decides, whoever sends
        if (row.roles == 0) return caller == Caller.Owner;
        if (bytes4(row.data) == ICouncil.execute.selector) return true; // it is decided
        if (caller == Caller.Owner && bytes4(row.data) == INotes.note.selector) return true;
        if (caller == Caller.Suspended && _isForSuspended(bytes4(row.data))) return true;
        if (caller <= Caller.Auditor) return row.roles & (uint256(1) << uint256(caller)) != 0;
        return caller == Caller.Stranger && row.anyone;
    }

    function _isForSuspended(bytes4 selector) private pure returns (bool) {
        return selector == IRegistry.revokeKey.selector || selector == IRegistry.acceptRecovery.selector;
    }

    /// @dev Brings about what the cell is about and says who calls.
    function _senderOf(Row memory row, Caller caller) private returns (address) {
        if (caller == Caller.UnknownKey) return _nobody.key;
        if (caller == Caller.Owner) return row.roles == 0 ? row.party.key : owner;
        if (caller == Caller.Stranger) return _stranger.key;
        uint32 id = row.party.id == 0 ? carrier.id : row.party.id;
        if (caller == Caller.RevokedKey) return _revokedKey(id);
        vm.prank(owner);
        if (caller == Caller.Suspended) registry.suspend(id, ROOT);
        else registry.setRoles(id, uint16(1 << uint256(caller)));
        return row.roles == 0 ? carrier.key : row.party.key;
    }

    function _revokedKey(uint32 id) private returns (address revoked) {
        Party memory member = _memberOf(id);
        revoked = makeAddress("revoked");
        vm.prank(member.key);
        registry.proposeKey(revoked, Roles.ANY, true);
        vm.prank(revoked);
        registry.acceptKey(id);
        vm.prank(member.key);
        registry.revokeKey(revoked, 0);
    }

    function _memberOf(uint32 id) private view returns (Party memory) {
        if (id == buyer.id) return buyer;
        if (id == coordinator.id) return coordinator;
        if (id == maker.id) return maker;
        if (id == inspector.id) return inspector;
        return id == auditor.id ? auditor : carrier;
    }

    function _isReason(Row memory row, Caller caller, bytes4 reason) private view returns (bool) {
        if (bytes4(row.data) == ERC2771Forwarder.execute.selector) {
            return reason == ERC2771Forwarder.ERC2771ForwarderInvalidSigner.selector;
        }
        if (bytes4(row.data) == ERC2771Forwarder.executeBatch.selector) {
            return reason == Forwarder.ForwarderBatchRefused.selector;
        }
        if (row.target == address(_council)) {
            return reason == ICouncil.CouncilNotMember.selector || reason == ICouncil.CouncilOnly.selector;
        }
        if (row.roles == 0) return reason == Ownable.OwnableUnauthorizedAccount.selector;
        if (bytes4(row.data) == IRegistry.acceptKey.selector && caller != Caller.Suspended) {
            return reason == IRegistry.RegistryKeyNotProposed.selector;
        }
        bool recovers = bytes4(row.data) == IRegistry.acceptRecovery.selector;
        if (recovers) return reason == IRegistry.RegistryRecoveryNotProposed.selector;
        if (bytes4(row.data) == ICertificates.demandOpening.selector && caller <= Caller.Auditor) {
            return reason == ICertificates.CertificateDemanderUnfit.selector; // a part in the order, in another role
        }
        if (caller == Caller.UnknownKey || caller == Caller.Owner) {
            return reason == IRegistry.RegistryKeyUnknown.selector;
        }
        if (caller == Caller.RevokedKey) return reason == IRegistry.RegistryKeyRevoked.selector;
        if (caller == Caller.Suspended) return reason == IRegistry.RegistryParticipantSuspended.selector;
        if (caller == Caller.Stranger) return reason != 0 && reason != 0x4e487b71; // any error but a panic
        return reason == IHistory.HistoryRoleMissing.selector || reason == IHistory.HistoryParticipantUnfit.selector
            || reason == IRegistry.RegistryRoleMissing.selector;
    }
}
