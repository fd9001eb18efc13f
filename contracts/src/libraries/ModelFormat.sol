// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEvaluator} from "../interfaces/IEvaluator.sol";

/// @title The canonical bytes of an executable model: header, scales, dense layers
/// @dev As quality/FORMAT.md says, section 2. Whatever is refused there is refused here.
library ModelFormat {
    uint16 internal constant VERSION = 1;
    uint256 internal constant MOST_LOGITS = 32;

    // Where a field begins: in the model, and in a layer.
    uint256 internal constant OUTPUTS = 7;
    uint256 internal constant REJECTS = 8;
    uint256 internal constant THRESHOLD = 12;
    uint256 internal constant WIDTH = 16;
    uint256 internal constant SCALES = 18;
    uint256 internal constant BODY = 20;
    uint256 internal constant LAYER_OUTPUTS = 5;
    uint256 internal constant LAYER_MULTIPLIER = 11;
    uint256 internal constant LAYER_BIASES = 15;

    uint256 internal constant SCALE_SIZE = 10;
    uint256 internal constant BIAS_SIZE = 4;

    /// @dev One byte of a contract's code, at most 24,576 by EIP-170, goes to the zero in front.
    uint256 private constant MOST_BYTES = 24_575;
    uint256 private constant MOST_DECIMALS = 9;
    uint256 private constant MOST_WIDTH = 4096;
    uint256 private constant MOST_UNITS = 1024;
    uint256 private constant MOST_LAYERS = 16;
    uint256 private constant MOST_SHIFT = 62;
    int256 private constant MOST_ZERO = 2 ** 53 - 1;
    uint256 private constant MOST_VALUE = 127;
    uint256 private constant SUM_LIMIT = 2 ** 31;
    /// @dev The one i32 that is not allowed.
    uint256 private constant LEAST_I32 = 2 ** 31;

    uint256 private constant NETWORK = 0x4d4d514e;
    uint256 private constant ROCKET = 0x4d4d5152;
    uint256 private constant TREES = 0x4d4d5154;
    uint256 private constant DENSE = 1;
    uint256 private constant CONV = 2;
    uint256 private constant SUM_POOL = 3;

    /// @dev A one, and the highest bit, in each of 32 bytes; the lower byte of each of 16 lanes of 16 bits.
    uint256 private constant ONES = type(uint256).max / 0xff;
    uint256 private constant SIGNS = ONES << 7;
    uint256 private constant LOWER = type(uint256).max / 0xffff * 0xff;

    /// @dev Reverts with an IEvaluator error unless `model` is canonical and executable.
    function requireExecutable(bytes calldata model) internal pure {
        if (model.length > MOST_BYTES) revert IEvaluator.EvaluatorModelTooLarge(model.length, MOST_BYTES);
        _requireHeader(model);
        uint256 place = _requireScales(model);
        uint256 layers = _field(model, place, 1);
        _require(layers != 0 && layers <= MOST_LAYERS, place);
        ++place;
        uint256 values = _field(model, WIDTH, 2);
        for (uint256 left = layers; left != 0; --left) {
            uint256 outputs = _requireLayer(model, place, values, left == 1);
            place += LAYER_BIASES + outputs * (BIAS_SIZE + values);
            values = outputs;
        }
        _require(place == model.length, place);
    }

    function _requireHeader(bytes calldata model) private pure {
        uint256 magic = _field(model, 0, 4);
        if (magic == ROCKET || magic == TREES) revert IEvaluator.EvaluatorModelNotExecutable(0);
        _require(magic == NETWORK, 0);
        _require(_field(model, 4, 2) == VERSION, 4);
        _require(_field(model, 6, 1) <= MOST_DECIMALS, 6);
        uint256 outputs = _field(model, OUTPUTS, 1);
        _require(outputs != 0 && outputs <= MOST_LOGITS, OUTPUTS);
        uint256 rejects = _field(model, REJECTS, 4);
        _require(rejects != 0 && rejects >> outputs == 0, REJECTS);
        uint256 threshold = _field(model, THRESHOLD, 4);
        bool undecided = outputs == 1 || rejects != 2 ** outputs - 1;
        _require(undecided ? threshold != LEAST_I32 : threshold == 0, THRESHOLD);
        uint256 width = _field(model, WIDTH, 2);
        _require(width != 0 && width <= MOST_WIDTH, WIDTH);
        uint256 scales = _field(model, SCALES, 2);
        _require(scales == 1 || scales == width, SCALES);
    }

    /// @return place Where the scales end.
    function _requireScales(bytes calldata model) private pure returns (uint256 place) {
        place = BODY;
        for (uint256 left = _field(model, SCALES, 2); left != 0; --left) {
            // forge-lint: disable-next-line(unsafe-typecast) - eight bytes
            int256 zero = int64(uint64(_field(model, place, 8)));
            _require(zero >= -MOST_ZERO && zero <= MOST_ZERO, place);
            _require(_field(model, place + 8, 1) != 0, place + 8);
            _require(_field(model, place + 9, 1) <= MOST_SHIFT, place + 9);
            place += SCALE_SIZE;
        }
    }

    /// @param values How many the layer must read.
    /// @return outputs How many it writes.
    function _requireLayer(bytes calldata model, uint256 place, uint256 values, bool last)
        private
        pure
        returns (uint256 outputs)
    {
        uint256 kind = _field(model, place, 1);
        if (kind == CONV || kind == SUM_POOL) revert IEvaluator.EvaluatorModelNotExecutable(place);
        _require(kind == DENSE, place);
        _require(_field(model, place + 1, 4) == values, place + 1);
        outputs = _field(model, place + LAYER_OUTPUTS, 2);
        uint256 most = last ? _field(model, OUTPUTS, 1) : MOST_UNITS;
        _require(outputs != 0 && outputs <= most && (!last || outputs == most), place + LAYER_OUTPUTS);
        _require(_field(model, place + 7, 4) == 0, place + 7); // kernel and stride
        uint256 multiplier = _field(model, place + LAYER_MULTIPLIER, 4);
        _require(last == (multiplier == 0) && multiplier < LEAST_I32, place + LAYER_MULTIPLIER);
        uint256 worst = _worstSum(model, place + LAYER_BIASES, values, outputs);
        if (worst >= SUM_LIMIT) revert IEvaluator.EvaluatorSumTooLarge(place, worst);
    }

    /// @dev Largest magnitude that any partial sum can reach, in any order of addition.
    function _worstSum(bytes calldata model, uint256 biases, uint256 values, uint256 outputs)
        private
        pure
        returns (uint256 worst)
    {
        uint256 row = biases + BIAS_SIZE * outputs;
        _require(model.length >= row + outputs * values, model.length);
        for (uint256 place = biases; place < biases + BIAS_SIZE * outputs; place += BIAS_SIZE) {
            uint256 bias = _field(model, place, BIAS_SIZE);
            _require(bias != LEAST_I32, place);
            if (bias > LEAST_I32) bias = 2 ** 32 - bias;
            uint256 sum = _sumOfMagnitudes(model, row, row + values) * MOST_VALUE + bias;
            if (sum > worst) worst = sum;
            row += values;
        }
    }

    /// @dev Of 32 int8. A negative one's magnitude is its complement plus one; only that of -128 has the highest bit set,
    /// and no sum of bytes carries into the next.
    function _magnitudes(uint256 word) private pure returns (uint256) {
        uint256 negative = (word & SIGNS) >> 7;
        return (word ^ (negative * 0xff)) + negative;
    }

    /// @dev 32 weights at a time. Modulo 2^16 - 1 a number is the sum of its 16-bit lanes, since 2^16 is 1 there; the sum
    /// of 32 magnitudes is far below.
    function _sumOfMagnitudes(bytes calldata model, uint256 place, uint256 end) private pure returns (uint256 sum) {
        for (; place < end; place += 32) {
            uint256 weights = uint256(bytes32(model[place:place + 32 < end ? place + 32 : end]));
            uint256 magnitudes = _magnitudes(weights);
            _require(magnitudes & SIGNS == 0, place);
            sum += ((magnitudes & LOWER) + ((magnitudes >> 8) & LOWER)) % 0xffff;
        }
    }

    /// @dev The unsigned integer of `size` bytes at `place`, most significant first.
    function _field(bytes calldata model, uint256 place, uint256 size) private pure returns (uint256) {
        _require(model.length >= place + size, model.length);
        return uint256(bytes32(model[place:place + size])) >> (256 - 8 * size);
    }

    function _require(bool allowed, uint256 offset) private pure {
        if (!allowed) revert IEvaluator.EvaluatorModelMalformed(offset);
    }
}
