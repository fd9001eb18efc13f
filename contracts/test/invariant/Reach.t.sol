// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "../Base.sol";
import {Handler} from "./Handler.sol";

/// @notice A campaign whose every call is refused would prove nothing: from fixed seeds, in runs as long as a campaign's,
/// the actions make every kind of record and reach every milestone of the replay.
contract ReachTest is Base {
    uint256 private constant RUNS = 240;
    uint256 private constant DEPTH = 64;

    /// @notice How often the runs reached what.
    event Reached(uint256 place, uint256 times);

    function test_runsReachEverything() public {
        vm.pauseGasMetering();
        Handler handler = new Handler();
        handler.setUp();
        bytes32[] memory names = _names(handler);
        uint256[] memory times = new uint256[](names.length);
        uint256 start = vm.snapshotState();
        for (uint256 run; run < RUNS; ++run) {
            _run(handler, run);
            for (uint256 i; i < names.length; ++i) {
                times[i] += handler.countOf(names[i]);
            }
            vm.revertToState(start);
        }
        for (uint256 i; i < names.length; ++i) {
            emit Reached(i, times[i]);
            bool more = times[i] > handler.countOf(names[i]) * RUNS; // beyond what setUp made
            assertTrue(more, string.concat("never reached: ", vm.toString(i)));
        }
    }

    function _run(Handler handler, uint256 run) private {
        bytes4[] memory actions = handler.allActions();
        if (run % 3 == 1) actions = handler.productionActions();
        if (run % 3 == 2) actions = handler.logisticsActions();
        for (uint256 i; i < DEPTH; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(run, i)));
            (bool ok,) = address(handler).call(abi.encodeWithSelector(actions[seed % actions.length], seed));
            assertTrue(ok, "an action reverted");
        }
        handler.sweep();
    }

    /// @dev The kinds that each family of actions states, and the milestones of the replay.
    function _names(Handler handler) private pure returns (bytes32[] memory names) {
        bytes32[][5] memory parts = [
            handler.productionKinds(),
            handler.logisticsKinds(),
            handler.custodyKinds(),
            handler.openingKinds(),
            _milestones()
        ];
        uint256 count;
        for (uint256 i; i < parts.length; ++i) {
            count += parts[i].length;
        }
        names = new bytes32[](count);
        uint256 next;
        for (uint256 i; i < parts.length; ++i) {
            for (uint256 j; j < parts[i].length; ++j) {
                names[next++] = parts[i][j];
            }
        }
    }

    function _milestones() private pure returns (bytes32[] memory milestones) {
        milestones = new bytes32[](42);
        milestones[0] = "gate passed";
        milestones[1] = "packed lot moved";
        milestones[2] = "gate passed packed";
        milestones[3] = "quarantined lot reworked";
        milestones[4] = "certificate fell";
        milestones[5] = "into another order";
        milestones[6] = "demand met";
        milestones[7] = "certificate lapsed";
        milestones[8] = "refuted late";
        milestones[9] = "refuted into quarantine";
        milestones[10] = "refuted out of quarantine";
        milestones[11] = "component used up";
        milestones[12] = "made beside";
        milestones[13] = "yield within one unit";
        milestones[14] = "pass voided";
        milestones[15] = "quarantined lot deallocated";
        milestones[16] = "buyer takes out of gated order";
        milestones[17] = "stays in its unit";
        milestones[18] = "exported or sold";
        milestones[19] = "unpacked from quarantine";
        milestones[20] = "offered again";
        milestones[21] = "returned to its maker";
        milestones[22] = "reclaimed by a trustee";
        milestones[23] = "reclaimed by a party";
        milestones[24] = "quarantined lot reclaimed";
        milestones[25] = "released after delivery";
        milestones[26] = "older refuted";
        milestones[27] = "certified by procedure";
        milestones[28] = "lifted by the custodian";
        milestones[29] = "coordinator replaced";
        milestones[30] = "gone coordinator replaced";
        milestones[31] = "inspector replaced in production";
        milestones[32] = "back into production";
        milestones[33] = "ended alone";
        milestones[34] = "quantity delivered";
        milestones[35] = "several gates agreed";
        milestones[36] = "several gates passed";
        milestones[37] = "gate passed by a waiver";
        milestones[38] = "lifted by a waiver";
        milestones[39] = "lifted from one that is gone";
        milestones[40] = "waived without a certificate";
        milestones[41] = "waived again";
    }
}
