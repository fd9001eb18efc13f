// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAssignments} from "../../src/interfaces/IAssignments.sol";
import {ICertificates} from "../../src/interfaces/ICertificates.sol";
import {IEvidence} from "../../src/interfaces/IEvidence.sol";
import {ICustody} from "../../src/interfaces/ICustody.sol";
import {ILots} from "../../src/interfaces/ILots.sol";
import {IOrders} from "../../src/interfaces/IOrders.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {Base} from "../Base.sol";
import {Handler} from "./Handler.sol";

/// @notice A campaign whose every call is refused would prove nothing: from fixed seeds, in runs as long as a campaign's,
/// the actions make every kind of record and reach every milestone of the replay.
contract ReachTest is Base {
    uint256 private constant RUNS = 120;
    uint256 private constant DEPTH = 64;

    /// @notice How often the runs reached what.
    event Reached(uint256 place, uint256 times);

    function test_runsReachEverything() public {
        vm.pauseGasMetering();
        Handler handler = new Handler();
        handler.setUp();
        bytes32[] memory names = _names();
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

    function _names() private pure returns (bytes32[] memory kinds) {
        kinds = new bytes32[](66);
        kinds[0] = IRegistry.RolesSet.selector;
        kinds[1] = IRegistry.ParticipantSuspended.selector;
        kinds[2] = IRegistry.ParticipantReinstated.selector;
        kinds[3] = IRegistry.KeyProposed.selector;
        kinds[4] = IRegistry.KeyAdded.selector;
        kinds[5] = IRegistry.KeyRevoked.selector;
        kinds[6] = IRegistry.MachineRegistered.selector;
        kinds[7] = IRegistry.MachineRetired.selector;
        kinds[8] = IRegistry.ModelRegistered.selector;
        kinds[9] = IRegistry.ModelApproved.selector;
        kinds[10] = IRegistry.ModelWithdrawn.selector;
        kinds[11] = IOrders.OrderPlaced.selector;
        kinds[12] = IOrders.OrderAccepted.selector;
        kinds[13] = IOrders.OrderRejected.selector;
        kinds[14] = IOrders.OrderCancelled.selector;
        kinds[15] = IOrders.RevisionProposed.selector;
        kinds[16] = IOrders.RevisionAccepted.selector;
        kinds[17] = IOrders.OrderCompleted.selector;
        kinds[18] = IOrders.OrderDelivered.selector;
        kinds[19] = IAssignments.AssignmentProposed.selector;
        kinds[20] = IAssignments.AssignmentAccepted.selector;
        kinds[21] = IAssignments.AssignmentDeclined.selector;
        kinds[22] = IAssignments.AssignmentStarted.selector;
        kinds[23] = IAssignments.AssignmentFinished.selector;
        kinds[24] = IAssignments.AssignmentCancelled.selector;
        kinds[25] = IEvidence.StreamOpened.selector;
        kinds[26] = IEvidence.StreamAnchored.selector;
        kinds[27] = ILots.LotCommissioned.selector;
        kinds[28] = ILots.LotReceived.selector;
        kinds[29] = ILots.LotsTransformed.selector;
        kinds[30] = ILots.LotScrapped.selector;
        kinds[31] = ILots.LotsPacked.selector;
        kinds[32] = ILots.LotsUnpacked.selector;
        kinds[33] = ILots.LotQuarantined.selector;
        kinds[34] = ILots.LotReleased.selector;
        kinds[35] = ICustody.CustodyOffered.selector;
        kinds[36] = ICustody.CustodyAccepted.selector;
        kinds[37] = ICustody.CustodyDeclined.selector;
        kinds[38] = ICustody.CustodyWithdrawn.selector;
        kinds[39] = ICertificates.CertificateIssued.selector;
        kinds[40] = ICertificates.CertificateRevoked.selector;
        kinds[41] = "gate passed";
        kinds[42] = "packed lot moved";
        kinds[43] = "gate passed packed";
        kinds[44] = "quarantined lot reworked";
        kinds[45] = "certificate fell";
        kinds[46] = "into another order";
        kinds[47] = ICertificates.CertificateUpheld.selector;
        kinds[48] = ICertificates.CertificateRefuted.selector;
        kinds[49] = ICertificates.OpeningDemanded.selector;
        kinds[50] = "demand met";
        kinds[51] = "certificate lapsed";
        kinds[52] = "refuted late";
        kinds[53] = "refuted into quarantine";
        kinds[54] = "refuted out of quarantine";
        kinds[55] = IRegistry.ModelPublished.selector;
        kinds[56] = ILots.LotReworked.selector;
        kinds[57] = ILots.LotAllocated.selector;
        kinds[58] = ILots.LotDeallocated.selector;
        kinds[59] = "component used up";
        kinds[60] = "made beside";
        kinds[61] = "yield within one unit";
        kinds[62] = "pass voided";
        kinds[63] = "quarantined lot deallocated";
        kinds[64] = "buyer takes out of gated order";
        kinds[65] = "stays in its unit";
    }
}
