// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EvidenceLeaf} from "../src/libraries/EvidenceLeaf.sol";
import {Base} from "./Base.sol";

contract Prover {
    function rootOf(bytes32 leaf, uint256 index, uint256 size, bytes32[] calldata proof)
        external
        pure
        returns (bytes32)
    {
        return EvidenceLeaf.rootOf(leaf, index, size, proof);
    }
}

/// @notice Inclusion proofs against trees that are built as RFC 9162 defines them, by recursion.
contract EvidenceLeafTest is Base {
    Prover private _prover;
    bytes32[] private _proof;

    function setUp() public {
        _prover = new Prover();
    }

    function test_everyLeafOfSmallTrees() public {
        for (uint256 size = 1; size <= 17; ++size) {
            for (uint256 index; index < size; ++index) {
                _requireProof(index, size);
            }
        }
    }

    function testFuzz_inclusion(uint256 index, uint256 size) public {
        size = bound(size, 1, 200);
        _requireProof(bound(index, 0, size - 1), size);
    }

    function _requireProof(uint256 index, uint256 size) private {
        delete _proof;
        bytes32 root = _rootAlong(0, size, index);
        assertEq(_prover.rootOf(_leaf(index), index, size, _proof), root, "root");
        uint256 other = (index + 1) % size;
        if (other != index) assertNotEq(_prover.rootOf(_leaf(index), other, size, _proof), root);
        _proof.push(root);
        assertEq(_prover.rootOf(_leaf(index), index, size, _proof), 0, "too long");
        _proof.pop();
        if (_proof.length == 0) return;
        _proof.pop();
        assertEq(_prover.rootOf(_leaf(index), index, size, _proof), 0, "too short");
    }

    /// @dev The root over `count` leaves from `first` on; pushes the siblings on the way from leaf `index`, lowest first.
    function _rootAlong(uint256 first, uint256 count, uint256 index) private returns (bytes32) {
        if (count == 1) return _leaf(first);
        uint256 left = 1;
        while (2 * left < count) left *= 2;
        bool within = index >= first && index < first + count;
        bool onTheLeft = index < first + left;
        bytes32 one = _rootAlong(first, left, index);
        bytes32 two = _rootAlong(first + left, count - left, index);
        if (within) _proof.push(onTheLeft ? two : one);
        return sha256(abi.encodePacked(hex"01", one, two));
    }

    function _leaf(uint256 index) private pure returns (bytes32) {
        return sha256(abi.encodePacked(hex"00", index));
    }
}
