// What the kernels of one machine share: the argument, numbers of 16 bits, the end of a row, who works on which block.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11  // knows AMX
#define HAS_X86 1
#include <immintrin.h>
#if __GNUC__ >= 12  // knows x86-64-v4
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTOR_CLONES
#endif
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16,avx512vnni")))
#else
#define HAS_X86 0
#define VECTOR_CLONES
#endif
// Arrays of sums live in registers only where the loops over them are gone.
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif
#define INLINE __attribute__((always_inline)) inline
#define INLINE_LAMBDA __attribute__((always_inline))

// What Python passes. O outputs are padded to whole blocks, K are the inputs in the order of the groups, padded.
struct Multiply {
    const void *x;            // [num_rows, num_inputs], rows x_stride apart
    void *y;                  // [num_rows, num_outputs], contiguous
    const uint8_t *codes;     // packed
    const float *table;       // [values], or [O, values] where each output has its own
    const uint8_t *table16;   // the same in bfloat16, in the order of the kernel
    const void *scales;       // [blocks, groups, 32] of scale_type
    const float *offsets;     // [blocks, groups, 32], or null
    const int32_t *starts;    // [groups + 1], in K
    const int32_t *order;     // [K], the input at each place, -1: none; null: all in order
    const float *bias;        // [O] or null
    const int32_t *outlier_starts;  // [num_outputs + 1] or null
    const int32_t *outlier_inputs;
    const float *outlier_values;
    const float *sums;        // [O], of the codes of each output: products of whole numbers alone
    int64_t num_rows, num_inputs, num_outputs, num_padded;  // the last is K
    int64_t num_groups, bits, has_own, is_affine;  // the last: code q stands for q + table[0]
    int64_t x_stride, is_bf16, scale_type, num_threads, level;  // the last: of Level, at most what the machine has
};

namespace compact {

constexpr int WIDTH = 32;   // outputs of a block
constexpr int HALF = 16;    // of a register
constexpr int PIECE = 128;  // inputs that are decoded at once
constexpr int SLAB = 64;    // rows whose sums are kept at once
enum { FLOAT32 = 0, FLOAT16 = 1, BFLOAT16 = 2 };
enum Level { PORTABLE = 0, VECTORS = 1, TILES = 2 };  // any processor; AVX-512 with BF16, VBMI, VNNI; AMX besides

INLINE float from_bf16(uint16_t bits) {
    const uint32_t wide = uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &wide, sizeof x);
    return x;
}

INLINE uint16_t to_bf16(float x) {  // to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return x == x ? uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : uint16_t(0x7fc0);
}

INLINE float from_f16(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16, rest = half & 0x7fff;
    float x;
    if (rest >= 0x0400) {  // a normal number
        const uint32_t bits = sign | ((rest << 13) + 0x38000000);
        std::memcpy(&x, &bits, sizeof x);
        return x;
    }
    x = float(rest) * 5.9604644775390625e-8f;  // 2^-24
    return sign ? -x : x;
}

INLINE float scale_at(const Multiply &d, int64_t index) {
    switch (d.scale_type) {
        case FLOAT16: return from_f16(static_cast<const uint16_t *>(d.scales)[index]);
        case BFLOAT16: return from_bf16(static_cast<const uint16_t *>(d.scales)[index]);
        default: return static_cast<const float *>(d.scales)[index];
    }
}

INLINE int64_t bytes_of_a_block(const Multiply &d) { return d.num_padded * WIDTH * d.bits / 8; }

// What one call works on: inputs in the order of K, and their sums by group.
struct Inputs {
    std::vector<float> wide;      // [rows, K]
    std::vector<uint16_t> narrow;  // the same in bfloat16
    std::vector<float> sums;      // [rows, groups], where there are offsets
    const uint16_t *x16 = nullptr;
    const float *x32 = nullptr;
    int64_t stride = 0;
};

INLINE void finish_row(const Multiply &d, int64_t m, int64_t first, const float *sums) {
    const int64_t count = std::min<int64_t>(WIDTH, d.num_outputs - first);
    float out[WIDTH];
    for (int64_t o = 0; o < count; ++o) {
        float value = sums[o] + (d.bias ? d.bias[first + o] : 0.0f);
        if (d.outlier_starts) {
            const int32_t stop = d.outlier_starts[first + o + 1];
            for (int32_t at = d.outlier_starts[first + o]; at < stop; ++at) {
                const int64_t place = m * d.x_stride + d.outlier_inputs[at];
                const float x = d.is_bf16 ? from_bf16(static_cast<const uint16_t *>(d.x)[place])
                                          : static_cast<const float *>(d.x)[place];
                value += x * d.outlier_values[at];
            }
        }
        out[o] = value;
    }
    const int64_t place = m * d.num_outputs + first;
    if (d.is_bf16) {
        uint16_t *y = static_cast<uint16_t *>(d.y) + place;
        for (int64_t o = 0; o < count; ++o) y[o] = to_bf16(out[o]);
    } else {
        std::memcpy(static_cast<float *>(d.y) + place, out, size_t(count) * sizeof(float));
    }
}

struct Team {
    const Multiply &d;
    const Inputs &in;
    std::atomic<int64_t> next{0};
};

// Inputs rounded to eight bits, a scale for each row.
struct Rounded {
    std::vector<uint8_t> x;      // [rows, K], 128 more than the number
    std::vector<float> scales;  // [rows]
};

struct WholeTeam {
    const Multiply &d;
    const Rounded &in;
    std::atomic<int64_t> next{0};
};

INLINE int64_t num_blocks(const Multiply &d) { return (d.num_outputs + WIDTH - 1) / WIDTH; }

// One thread of a team; the entry chooses by level and number of rows.
void work_portable(Team *team);
#if HAS_X86
void sum_groups_16(const Multiply &d, Inputs &in);
void work_vectors(Team *team);           // few rows: exact codes, scales on float32 sums of groups
void work_dense(Team *team);             // many rows: weights rounded to bfloat16 in panels, as plain weights are
void work_tiles(Team *team);             // the same by AMX; reads 16 rows and whole tiles of K at least
void round_rows(const Multiply &d, Rounded &rounded, int64_t least_rows);
void work_whole(WholeTeam *team);
void work_whole_tiles(WholeTeam *team);
#endif

}  // namespace compact
