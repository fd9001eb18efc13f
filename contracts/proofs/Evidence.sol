// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LotOperations} from "../src/LotOperations.sol";
import {ICertificates} from "../src/interfaces/ICertificates.sol";
import {EvidenceLeaf} from "../src/libraries/EvidenceLeaf.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {GatedWorld} from "./GatedWorld.sol";
import {SeededLots} from "./SeededLots.sol";
import {World} from "./World.sol";

/// @notice Evidence is only ever added (DESIGN 4, "Evidence").
contract EvidenceProof is World {
    Party private _owner;

    function setUp() public override {
        super.setUp();
        _owner = _admit(Roles.ANY);
        _admit(Roles.ANY);
        SeededLots(address(ledger)).seedStream("stream", _owner.id, 0);
    }

    /// @notice A stream's size only grows, and only its owner anchors it.
    /// @dev Bounds: a stream of 10 entries; two anchors of any sizes (40 bits) and roots, each from any address.
    function check_streamsOnlyGrow(uint40[2] memory size, bytes32[2] memory root) external {
        for (uint256 i; i < 2; ++i) {
            uint40 before = ledger.streamOf("stream").size;
            address caller = _anybody();
            vm.prank(caller);
            try ledger.anchor("stream", size[i], root[i]) {
                assert(caller == _owner.key && size[i] > before);
                assert(ledger.streamOf("stream").size == size[i] && ledger.streamOf("stream").root == root[i]);
            } catch {
                assert(ledger.streamOf("stream").size == before);
            }
        }
    }

    function _newLots() internal override returns (LotOperations) {
        return new SeededLots(registry);
    }
}

/// @notice Whether an entry is the window of a lot is for EvidenceLeaf alone to say (DESIGN 5, "Evidence").
contract WindowProof is World {
    bytes21 private constant TAG = "millmark.evidence.v1\x00";

    /// @notice An entry is the window of a lot only if it says so: its tag, its kind, and that very lot.
    /// @dev Bounds: any entry of 117 to 119 bytes, any lot.
    function check_aWindowIsOfItsLot(bytes32[3] memory words, bytes21 end, uint8 more, bytes32 lot) external view {
        bytes memory data = abi.encodePacked(words[0], words[1], words[2], end);
        if (more == 1) data = abi.encodePacked(data, "1");
        else if (more != 0) data = abi.encodePacked(data, "12");
        bytes22 start = bytes22(words[0]);
        bytes32 named = bytes32((uint256(words[0]) << 176) | (uint256(words[1]) >> 80));
        bool is_ = data.length == 118 && bytes21(start) == TAG && uint8(start[21]) == 2 && named == lot;
        assert(this.isWindowOf(data, lot) == is_);
    }

    function isWindowOf(bytes calldata data, bytes32 lot) external pure returns (bool) {
        return EvidenceLeaf.isWindowOf(data, lot);
    }
}

/// @notice Work and certificates are bound to what was measured (DESIGN 4, "Evidence").
contract BindingProof is GatedWorld {
    /// @notice An operation is finished by an anchored entry that came after its start.
    /// @dev Bounds: a stream of 10 entries at the start; anchored at any size, or not; finished by an entry at any
    /// index (40 bits each).
    function check_workIsFinishedByALaterEntry(bool anchored, uint40 size, uint40 index) external {
        vm.startPrank(_maker.key);
        if (anchored) ledger.anchor("work", size, ROOT);
        ledger.finishAssignment(_order, 0, _assignment, "work", index, LEAF);
        assert(index >= 10 && index < ledger.streamOf("work").size);
    }

    /// @notice A certificate names an entry that is anchored, of a stream that is a machine's.
    /// @dev Bounds: a stream of 10 entries, of a machine or of none; a certificate by inference or by procedure, on an
    /// entry at any index (40 bits).
    function check_aCertificateNamesWhatIsAnchored(bool machines, bool inferred, uint40 index) external {
        SeededLots(address(ledger)).seedStream("other", _inspector.id, 0);
        vm.prank(_inspector.key);
        ledger.issueCertificate(
            ICertificates.Statement({
                items: _item(_lot, _order),
                model: inferred ? _model : 0,
                verdict: ICertificates.Verdict.Pass,
                expiresAt: EXPIRY,
                inferenceDigest: "inference",
                claimsRoot: ROOT,
                stream: machines ? bytes32("stream") : bytes32("other"),
                leafIndex: index,
                leafHash: LEAF
            })
        );
        assert(machines && index < 10);
    }
}
