// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ModelFormat} from "./ModelFormat.sol";

/// @title Evaluates a network of dense layers, 32 weights at a time
/// @dev As quality/FORMAT.md says, sections 3 and 4. `code` is that of a ModelCode whose model ModelFormat let pass: every
/// sum fits into 32 bits, whatever the input. test/NetworkReference.sol says the same without assembly.
///
/// A word of 32 weights, masked, is eight of them in eight lanes of 32 bits: those at 0, 4, 8 ... 28 when shifted right by
/// 24, at 1, 5 ... 29 by 16, and so on. What a layer reads is kept in lanes once, in the reverse order, so that the highest
/// lane of the product of two such words is their dot product. Lanes that hold no value are zero, so what the last word of
/// a row reads beyond its row counts for nothing. Weights are made unsigned by adding 128 to each; 128 times the sum of the
/// values is taken off again. The lanes below the highest add up to less than 4096 * 255 * 127 each, so what they carry or
/// borrow is a small part of the highest lane's unit, which adding half a unit and rounding down removes.
library Network {
    /// @dev What a layer reads or writes.
    struct Values {
        uint256 count;
        int256 sum;
        /// Four words for each 32 values: value i is in word i % 4 of its four, in lane i % 32 / 4.
        uint256[] lanes;
    }

    /// @dev The model begins behind the code's zero byte.
    uint256 private constant MODEL = 1;
    int256 private constant MOST_VALUE = 127;
    int256 private constant HALF = 2 ** 23;
    uint256 private constant HALF_BITS = 24;
    bytes1 private constant NO_VALUE = 0x80;

    /// @dev Of the width of the model, and without a -128.
    function isValidInput(bytes memory code, bytes calldata input) internal pure returns (bool) {
        if (input.length != _field(code, MODEL + ModelFormat.WIDTH, 2)) return false;
        for (uint256 i; i < input.length; ++i) {
            if (input[i] == NO_VALUE) return false;
        }
        return true;
    }

    /// @dev Logits for a valid input.
    function execute(bytes memory code, bytes calldata input) internal pure returns (int32[] memory logits) {
        Values memory values = _valuesOf(input);
        uint256 place = MODEL + ModelFormat.BODY + ModelFormat.SCALE_SIZE * _field(code, MODEL + ModelFormat.SCALES, 2);
        uint256 hidden = _field(code, place, 1) - 1;
        ++place;
        for (; hidden != 0; --hidden) {
            Values memory written = _hiddenLayer(code, place, values);
            place += ModelFormat.LAYER_BIASES + written.count * (ModelFormat.BIAS_SIZE + values.count);
            values = written;
        }
        logits = new int32[](_field(code, place + ModelFormat.LAYER_OUTPUTS, 2));
        for (uint256 i; i < logits.length; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) - ModelFormat refuses models whose sums could be larger
            logits[i] = int32(_sum(code, place, logits.length, i, values));
        }
    }

    /// @dev Whether the verdict is FAIL: the margin of the rejected classes over the accepted ones reaches the threshold, or
    /// all classes are rejected.
    function isRejected(bytes memory code, int32[] memory logits) internal pure returns (bool) {
        uint256 rejects = _field(code, MODEL + ModelFormat.REJECTS, 4);
        int256 threshold = _signed(code, MODEL + ModelFormat.THRESHOLD);
        if (logits.length == 1) return logits[0] >= threshold;
        if (rejects == 2 ** logits.length - 1) return true;
        int256 rejected = type(int32).min;
        int256 accepted = type(int32).min;
        for (uint256 i; i < logits.length; ++i) {
            bool counts = (rejects >> i) & 1 == 1;
            if (counts && logits[i] > rejected) rejected = logits[i];
            if (!counts && logits[i] > accepted) accepted = logits[i];
        }
        return rejected - accepted >= threshold;
    }

    function _hiddenLayer(bytes memory code, uint256 place, Values memory values)
        private
        pure
        returns (Values memory written)
    {
        written = _newValues(_field(code, place + ModelFormat.LAYER_OUTPUTS, 2));
        // forge-lint: disable-next-line(unsafe-typecast) - four bytes
        int256 multiplier = int256(_field(code, place + ModelFormat.LAYER_MULTIPLIER, 4));
        for (uint256 i; i < written.count; ++i) {
            int256 value = (_sum(code, place, written.count, i, values) * multiplier + HALF) >> HALF_BITS;
            if (value > MOST_VALUE) value = MOST_VALUE;
            if (value > 0) _put(written, i, value);
        }
    }

    /// @dev Bias and dot product of one output of the layer at `place`.
    function _sum(bytes memory code, uint256 place, uint256 outputs, uint256 output, Values memory values)
        private
        pure
        returns (int256 sum)
    {
        uint256 biases = place + ModelFormat.LAYER_BIASES;
        uint256 row = biases + ModelFormat.BIAS_SIZE * outputs + output * values.count;
        sum = _signed(code, biases + ModelFormat.BIAS_SIZE * output) - 128 * values.sum;
        uint256[] memory lanes = values.lanes;
        assembly ("memory-safe") {
            let mask := 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff
            let unsign := 0x8080808080808080808080808080808080808080808080808080808080808080
            let from := add(add(code, 32), row)
            let lane := add(lanes, 32)
            sum := add(shl(224, sum), shl(223, 1))
            for { let end := add(lane, shl(5, mload(lanes))) } lt(lane, end) { lane := add(lane, 128) } {
                let weights := xor(mload(from), unsign)
                sum := add(sum, mul(and(shr(24, weights), mask), mload(lane)))
                sum := add(sum, mul(and(shr(16, weights), mask), mload(add(lane, 32))))
                sum := add(sum, mul(and(shr(8, weights), mask), mload(add(lane, 64))))
                sum := add(sum, mul(and(weights, mask), mload(add(lane, 96))))
                from := add(from, 32)
            }
            sum := sar(224, sum)
        }
    }

    function _valuesOf(bytes calldata input) private pure returns (Values memory values) {
        values = _newValues(input.length);
        for (uint256 i; i < input.length; ++i) {
            _put(values, i, int8(uint8(input[i])));
        }
    }

    function _newValues(uint256 count) private pure returns (Values memory values) {
        values.count = count;
        values.lanes = new uint256[]((count + 31) / 32 * 4);
    }

    /// @dev In assembly because a negative value borrows from the lanes above it, all the way out of the word.
    function _put(Values memory values, uint256 i, int256 value) private pure {
        values.sum += value;
        uint256[] memory lanes = values.lanes;
        assembly ("memory-safe") {
            let word := add(add(lanes, 32), add(shl(7, shr(5, i)), shl(5, and(i, 3))))
            mstore(word, add(mload(word), shl(shl(3, and(i, 28)), value)))
        }
    }

    /// @dev The unsigned integer of `size` bytes at `place`, most significant first.
    function _field(bytes memory code, uint256 place, uint256 size) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), mload(add(add(code, 32), place)))
        }
    }

    /// @dev The i32 at `place`.
    function _signed(bytes memory code, uint256 place) private pure returns (int256) {
        // forge-lint: disable-next-line(unsafe-typecast) - four bytes
        return int32(uint32(_field(code, place, 4)));
    }
}
