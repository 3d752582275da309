// Any processor: pieces are decoded into float32 panels [inputs][32 outputs], by loops that compilers make vectors of.

#include "multiply.h"

namespace compact {

namespace {

// What a code stands for, where all outputs share a table: a sum where codes are steps, else a look-up.
template <bool IS_AFFINE>
INLINE float number_of(const Multiply &d, float first, int code) {
    return IS_AFFINE ? float(code) + first : d.table[code];
}

// Codes of 2 or 4 bits: a byte holds codes of inputs 2 apart, bytes of 16 outputs alternate between a pair of inputs.
template <int BITS, bool IS_AFFINE>
INLINE void decode_packed(const Multiply &d, const uint8_t *at, int64_t count, float *panel) {
    constexpr int NUM_CODES = 8 / BITS, STEP = 2 * NUM_CODES, MASK = (1 << BITS) - 1;
    const float first = d.table[0];
    for (int64_t k = 0; k < count; k += STEP, panel += STEP * WIDTH)
        for (int half = 0; half < 2; ++half, at += WIDTH)
            for (int c = 0; c < NUM_CODES; ++c)
                for (int odd = 0; odd < 2; ++odd) {
                    float *out = panel + (2 * c + odd) * WIDTH + half * HALF;
                    for (int o = 0; o < HALF; ++o)
                        out[o] = number_of<IS_AFFINE>(d, first, (at[2 * o + odd] >> (c * BITS)) & MASK);
                }
}

// Codes of 8 bits: each 16 bytes are two pairs of inputs for four outputs.
template <bool IS_AFFINE>
INLINE void decode_bytes(const Multiply &d, const uint8_t *at, int64_t count, float *panel) {
    const float first = d.table[0];
    for (int64_t k = 0; k < count; k += 4, panel += 4 * WIDTH)
        for (int quarter = 0; quarter < 8; ++quarter, at += 16)
            for (int i = 0; i < 16; ++i) {
                const int input = i / 8 * 2 + i % 2, output = quarter * 4 + i % 8 / 2;
                panel[input * WIDTH + output] = number_of<IS_AFFINE>(d, first, at[i]);
            }
}

// Codes of 4 bits into tables of single outputs: 16 outputs a quarter, the later 16 of 32 inputs in the upper bits.
INLINE void decode_own(const Multiply &d, int64_t b, const uint8_t *at, int64_t count, float *panel) {
    for (int64_t k = 0; k < count; k += 32, panel += 32 * WIDTH, at += 512)
        for (int o = 0; o < WIDTH; ++o) {
            const float *table = d.table + (b * WIDTH + o) * 16;
            const uint8_t *codes = at + (o / HALF * 4 + o % 4) * 64 + o % HALF / 4 * 16;
            for (int i = 0; i < 16; ++i) {
                panel[i * WIDTH + o] = table[codes[i] & 15];
                panel[(i + 16) * WIDTH + o] = table[codes[i] >> 4];
            }
        }
}

template <bool IS_AFFINE>
INLINE void decode_shared(const Multiply &d, const uint8_t *at, int64_t count, float *panel) {
    if (d.bits == 4) decode_packed<4, IS_AFFINE>(d, at, count, panel);
    else if (d.bits == 2) decode_packed<2, IS_AFFINE>(d, at, count, panel);
    else decode_bytes<IS_AFFINE>(d, at, count, panel);
}

INLINE void decode(const Multiply &d, int64_t b, const uint8_t *block, int64_t from, int64_t to, float *panel) {
    const uint8_t *at = block + from * WIDTH * d.bits / 8;
    if (d.has_own) decode_own(d, b, at, to - from, panel);
    else if (d.is_affine) decode_shared<true>(d, at, to - from, panel);
    else decode_shared<false>(d, at, to - from, panel);
}

INLINE void block_float(const Multiply &d, const Inputs &in, int64_t b) {
    alignas(64) static thread_local float panel[PIECE * WIDTH];
    alignas(64) static thread_local float sums[SLAB * WIDTH];
    const uint8_t *block = d.codes + b * bytes_of_a_block(d);
    for (int64_t slab = 0; slab < d.num_rows; slab += SLAB) {
        const int64_t rows = std::min<int64_t>(SLAB, d.num_rows - slab);
        std::fill_n(sums, rows * WIDTH, 0.0f);
        for (int64_t g = 0; g < d.num_groups; ++g) {
            float scale[WIDTH], offset[WIDTH] = {};
            for (int o = 0; o < WIDTH; ++o) scale[o] = scale_at(d, (b * d.num_groups + g) * WIDTH + o);
            if (d.offsets) std::memcpy(offset, d.offsets + (b * d.num_groups + g) * WIDTH, sizeof offset);
            for (int64_t from = d.starts[g]; from < d.starts[g + 1]; from += PIECE) {
                const int64_t to = std::min<int64_t>(from + PIECE, d.starts[g + 1]);
                decode(d, b, block, from, to, panel);
                for (int64_t m = 0; m < rows; ++m) {
                    float part[WIDTH] = {};
                    const float *x = in.x32 + (slab + m) * in.stride;
                    for (int64_t k = from; k < to; ++k) {
                        const float value = x[k];
                        const float *w = panel + (k - from) * WIDTH;
                        for (int o = 0; o < WIDTH; ++o) part[o] += value * w[o];
                    }
                    float *sum = sums + m * WIDTH;
                    for (int o = 0; o < WIDTH; ++o) sum[o] += scale[o] * part[o];
                }
            }
            if (d.offsets)
                for (int64_t m = 0; m < rows; ++m) {
                    const float of_x = in.sums[(slab + m) * d.num_groups + g];
                    for (int o = 0; o < WIDTH; ++o) sums[m * WIDTH + o] -= offset[o] * of_x;
                }
        }
        for (int64_t m = 0; m < rows; ++m) finish_row(d, slab + m, b * WIDTH, sums + m * WIDTH);
    }
}

}  // namespace

VECTOR_CLONES void work_portable(Team *team) {
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(team->d);) block_float(team->d, team->in, b);
}

}  // namespace compact
