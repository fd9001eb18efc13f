// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base, InvariantBase} from "./Base.sol";

contract Probe {
    error Odd(uint256 value);

    event Stored(uint256 value);

    uint256 public stored;
    uint256 public strayCalls;

    function store(uint256 value) external {
        if (value % 2 == 1) revert Odd(value);
        stored = value;
        emit Stored(value);
    }

    function stray() external {
        strayCalls++;
    }
}

/// @notice The cheat codes do what the tests rely on.
contract BaseTest is Base {
    Probe private _probe;

    function setUp() public {
        _probe = new Probe();
    }

    function test_expectRevertMatchesTheValues() public {
        vm.expectRevert(abi.encodeWithSelector(Probe.Odd.selector, 3));
        _probe.store(3);
        vm.expectPartialRevert(Probe.Odd.selector);
        _probe.store(5);
    }

    function test_expectEmitAndRecordedLogs() public {
        vm.expectEmit(address(_probe));
        emit Probe.Stored(4);
        _probe.store(4);
        vm.recordLogs();
        _probe.store(6);
        assertEq(abi.decode(vm.getRecordedLogs()[0].data, (uint256)), 6);
    }

    function test_snapshotRestoresStorage() public {
        _probe.store(2);
        uint256 id = vm.snapshotState();
        _probe.store(8);
        assertEq(vm.load(address(_probe), 0), bytes32(uint256(8)));
        assertTrue(vm.revertToState(id));
        assertEq(_probe.stored(), 2);
    }

    function test_signatureOpensWithTheAddress() public {
        (address account, uint256 privateKey) = makeKey("alice");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, keccak256("digest"));
        assertEq(ecrecover(keccak256("digest"), v, r, s), account);
    }

    function testFuzz_boundStaysInside(uint256 value, uint256 low, uint256 high) public pure {
        if (low > high) (low, high) = (high, low);
        uint256 result = bound(value, low, high);
        assertGe(result, low);
        assertLe(result, high);
    }
}

/// @notice Targeting a selector keeps forge away from the other functions and from undeclared contracts.
contract SelectorTargetInvariant is InvariantBase {
    Probe private _probe;
    Probe private _undeclared;

    function setUp() public {
        _probe = new Probe();
        _undeclared = new Probe();
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = this.touch.selector;
        targetSelector(address(this), selectors);
    }

    function touch(uint256 value) external {
        _probe.store(value - (value % 2));
    }

    function invariant_onlyTheTargetIsCalled() public view {
        assertEq(_probe.strayCalls() + _undeclared.strayCalls() + _undeclared.stored(), 0);
    }
}

/// @notice Targeting a contract keeps forge away from all others.
contract ContractTargetInvariant is InvariantBase {
    Probe private _undeclared;
    uint256 private _touched;

    function setUp() public {
        _undeclared = new Probe();
        targetContract(address(this));
    }

    function touch() external {
        _touched++;
    }

    function invariant_onlyTheTargetIsCalled() public view {
        assertEq(_undeclared.strayCalls() + _undeclared.stored(), 0);
    }

    function afterInvariant() public view {
        assertGt(_touched, 0);
    }
}
