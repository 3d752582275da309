// Products of activations with compact weights on processors. Plain C++: neither Python's nor torch's headers.
//
// y[m, o] = bias[o] + sum over groups g of  scale[o, g] * (sum over k in g of x[m, k] * table[code[o, k]])
//                                           - offset[o, g] * (sum over k in g of x[m, k])
//
// Weights lie in blocks of 32 outputs. A piece of a block, up to 128 inputs, is decoded into a panel that stays in the
// first-level cache; all rows are multiplied with it before the next piece. With AVX-512 BF16 and VBMI codes become
// bfloat16 by permutations of registers (a table of 16 values is one instruction for 32 codes) and pairs of inputs are
// multiplied at once; codes of whole numbers are exact in bfloat16, scales are applied to float32 sums. Elsewhere, and
// for float32, panels hold float32. The order of codes is that of jackfield_compact/packing.py.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define HAS_X86 1
#include <immintrin.h>
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
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
    int64_t num_groups, bits, has_own, x_stride, is_bf16, scale_type, num_threads;
};

namespace {

constexpr int WIDTH = 32;   // outputs of a block
constexpr int HALF = 16;    // of a register
constexpr int PIECE = 128;  // inputs that are decoded at once
constexpr int SLAB = 64;    // rows whose sums are kept at once
enum { FLOAT32 = 0, FLOAT16 = 1, BFLOAT16 = 2 };

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

// The code of one weight, wherever the packed order has put it.
INLINE int code_at(const Multiply &d, const uint8_t *block, int64_t k, int o) {
    const int half = o / HALF, within = o % HALF;
    if (d.has_own) {
        const int64_t place = ((k / 32 * 2 + half) * 4 + within % 4) * 64 + within / 4 * 16 + k % 16;
        return (block[place] >> (k % 32 / 16 * 4)) & 15;
    }
    const int word = 2 * within + int(k & 1);
    if (d.bits == 4) return (block[(k / 4 * 2 + half) * 32 + word] >> (k % 4 / 2 * 4)) & 15;
    if (d.bits == 2) return (block[(k / 8 * 2 + half) * 32 + word] >> (k % 8 / 2 * 2)) & 3;
    return block[(k / 4 * 2 + half) * 64 + word / 8 * 16 + int(k % 4 / 2) * 8 + word % 8];
}

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

// ---- float32 panels: any processor

INLINE void decode_float(const Multiply &d, int64_t b, const uint8_t *block, int64_t from, int64_t to, float *panel) {
    const int values = d.has_own ? 16 : 1 << d.bits;
    for (int64_t k = from; k < to; ++k)
        for (int o = 0; o < WIDTH; ++o) {
            const float *table = d.has_own ? d.table + (b * WIDTH + o) * values : d.table;
            panel[(k - from) * WIDTH + o] = table[code_at(d, block, k, o)];
        }
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
                decode_float(d, b, block, from, to, panel);
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

struct Team {
    const Multiply &d;
    const Inputs &in;
    std::atomic<int64_t> next{0};
};

INLINE int64_t num_blocks(const Multiply &d) { return (d.num_outputs + WIDTH - 1) / WIDTH; }

VECTOR_CLONES void work_float(Team *team) {
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(team->d);) block_float(team->d, team->in, b);
}

#if HAS_X86

// ---- bfloat16 panels: AVX-512 BF16 and VBMI. A panel is [pairs of inputs][32 outputs] of two bfloat16 each.

struct Tables {
    __m512i words;                 // 2 and 4 bits: the table, repeated
    __m512i low[4], high[4];       // 8 bits: the bytes of 256 values
};

AVX512 INLINE void load_tables(const Multiply &d, Tables &tables) {
    if (d.has_own) return;
    if (d.bits < 8) {
        tables.words = _mm512_loadu_si512(d.table16);
        return;
    }
    for (int i = 0; i < 4; ++i) {
        tables.low[i] = _mm512_loadu_si512(d.table16 + 64 * i);
        tables.high[i] = _mm512_loadu_si512(d.table16 + 256 + 64 * i);
    }
}

AVX512 INLINE __m512i look_up(const __m512i *table, __m512i codes, __mmask64 is_upper) {
    const __m512i lower = _mm512_permutex2var_epi8(table[0], codes, table[1]);
    const __m512i upper = _mm512_permutex2var_epi8(table[2], codes, table[3]);
    return _mm512_mask_blend_epi8(is_upper, lower, upper);
}

AVX512 INLINE void decode_4(const Tables &tables, const uint8_t *at, int64_t steps, __m512i *panel) {
    for (int64_t s = 0; s < steps; ++s, panel += 4)
        for (int half = 0; half < 2; ++half, at += 32) {
            const __m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at)));
            panel[half] = _mm512_permutexvar_epi16(codes, tables.words);  // looks at five bits
            panel[2 + half] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), tables.words);
        }
}

AVX512 INLINE void decode_2(const Tables &tables, const uint8_t *at, int64_t steps, __m512i *panel) {
    for (int64_t s = 0; s < steps; ++s, panel += 8)
        for (int half = 0; half < 2; ++half, at += 32) {
            const __m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at)));
            panel[half] = _mm512_permutexvar_epi16(codes, tables.words);
            panel[2 + half] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 2), tables.words);
            panel[4 + half] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), tables.words);
            panel[6 + half] = _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 6), tables.words);
        }
}

AVX512 INLINE void decode_8(const Tables &tables, const uint8_t *at, int64_t steps, __m512i *panel) {
    for (int64_t s = 0; s < steps; ++s, panel += 4)
        for (int half = 0; half < 2; ++half, at += 64) {
            const __m512i codes = _mm512_loadu_si512(at);
            const __mmask64 is_upper = _mm512_movepi8_mask(codes);
            const __m512i low = look_up(tables.low, codes, is_upper), high = look_up(tables.high, codes, is_upper);
            panel[half] = _mm512_unpacklo_epi8(low, high);
            panel[2 + half] = _mm512_unpackhi_epi8(low, high);
        }
}

// Four registers of [4 outputs][4 pairs] become four of one pair for 16 outputs each.
AVX512 INLINE void turn(const __m512i *from, __m512i *panel) {
    const __m512i a = _mm512_unpacklo_epi32(from[0], from[1]), b = _mm512_unpacklo_epi32(from[2], from[3]);
    const __m512i c = _mm512_unpackhi_epi32(from[0], from[1]), d = _mm512_unpackhi_epi32(from[2], from[3]);
    panel[0] = _mm512_unpacklo_epi64(a, b);
    panel[2] = _mm512_unpackhi_epi64(a, b);
    panel[4] = _mm512_unpacklo_epi64(c, d);
    panel[6] = _mm512_unpackhi_epi64(c, d);
}

// Tables of 16 outputs, four in a register: bytes are looked up within a quarter of it.
AVX512 INLINE void decode_own(const uint8_t *tables, const uint8_t *at, int64_t steps, __m512i *panel) {
    const __m512i nibble = _mm512_set1_epi8(15);
    for (int64_t s = 0; s < steps; ++s, panel += 32)
        UNROLL for (int half = 0; half < 2; ++half) {
            __m512i parts[4][4];  // [inputs 0-7, 8-15, 16-23, 24-31][four outputs]
            UNROLL for (int a = 0; a < 4; ++a, at += 64) {
                const __m512i low_of = _mm512_loadu_si512(tables + (half * 4 + a) * 128);
                const __m512i high_of = _mm512_loadu_si512(tables + (half * 4 + a) * 128 + 64);
                const __m512i codes = _mm512_loadu_si512(at);
                UNROLL for (int upper = 0; upper < 2; ++upper) {
                    const __m512i index = _mm512_and_si512(upper ? _mm512_srli_epi16(codes, 4) : codes, nibble);
                    const __m512i low = _mm512_shuffle_epi8(low_of, index);
                    const __m512i high = _mm512_shuffle_epi8(high_of, index);
                    parts[2 * upper][a] = _mm512_unpacklo_epi8(low, high);
                    parts[2 * upper + 1][a] = _mm512_unpackhi_epi8(low, high);
                }
            }
            UNROLL for (int part = 0; part < 4; ++part) turn(parts[part], panel + 8 * part + half);
        }
}

AVX512 INLINE void decode_pairs(const Multiply &d, const Tables &tables, int64_t b, int64_t from, int64_t to,
                                __m512i *panel) {
    const uint8_t *at = d.codes + b * bytes_of_a_block(d) + from * WIDTH * d.bits / 8;
    if (d.has_own) decode_own(d.table16 + b * 1024, at, (to - from) / 32, panel);
    else if (d.bits == 4) decode_4(tables, at, (to - from) / 4, panel);
    else if (d.bits == 8) decode_8(tables, at, (to - from) / 4, panel);
    else decode_2(tables, at, (to - from) / 8, panel);
}

// ROWS rows with a panel; few rows run in CHAINS sums each, since one waits for the product before.
template <int ROWS, int CHAINS>
AVX512 INLINE void dot_rows(const uint16_t *x, int64_t stride, int64_t pairs, const __m512i *panel, __m512 s0, __m512 s1,
                            float *sums) {
    __m512 part[CHAINS][ROWS][2];
    UNROLL for (int c = 0; c < CHAINS; ++c)
        UNROLL for (int r = 0; r < ROWS; ++r) part[c][r][0] = part[c][r][1] = _mm512_setzero_ps();
    int64_t p = 0;
    for (; p + CHAINS <= pairs; p += CHAINS)
        UNROLL for (int c = 0; c < CHAINS; ++c) {
            const __m512bh w0 = (__m512bh)panel[2 * (p + c)], w1 = (__m512bh)panel[2 * (p + c) + 1];
            UNROLL for (int r = 0; r < ROWS; ++r) {
                int32_t pair;
                std::memcpy(&pair, x + r * stride + 2 * (p + c), sizeof pair);
                const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
                part[c][r][0] = _mm512_dpbf16_ps(part[c][r][0], w0, both);
                part[c][r][1] = _mm512_dpbf16_ps(part[c][r][1], w1, both);
            }
        }
    for (; p < pairs; ++p)
        UNROLL for (int r = 0; r < ROWS; ++r) {
            int32_t pair;
            std::memcpy(&pair, x + r * stride + 2 * p, sizeof pair);
            const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            part[0][r][0] = _mm512_dpbf16_ps(part[0][r][0], (__m512bh)panel[2 * p], both);
            part[0][r][1] = _mm512_dpbf16_ps(part[0][r][1], (__m512bh)panel[2 * p + 1], both);
        }
    UNROLL for (int r = 0; r < ROWS; ++r) {
        UNROLL for (int c = 1; c < CHAINS; ++c) {
            part[0][r][0] = _mm512_add_ps(part[0][r][0], part[c][r][0]);
            part[0][r][1] = _mm512_add_ps(part[0][r][1], part[c][r][1]);
        }
        float *sum = sums + r * WIDTH;
        _mm512_storeu_ps(sum, _mm512_fmadd_ps(part[0][r][0], s0, _mm512_loadu_ps(sum)));
        _mm512_storeu_ps(sum + HALF, _mm512_fmadd_ps(part[0][r][1], s1, _mm512_loadu_ps(sum + HALF)));
    }
}

AVX512 INLINE __m512 load_scales(const Multiply &d, int64_t index) {
    switch (d.scale_type) {
        case FLOAT16:
            return _mm512_cvtph_ps(_mm256_loadu_si256(
                reinterpret_cast<const __m256i *>(static_cast<const uint16_t *>(d.scales) + index)));
        case BFLOAT16:
            return _mm512_castsi512_ps(_mm512_slli_epi32(
                _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                    reinterpret_cast<const __m256i *>(static_cast<const uint16_t *>(d.scales) + index))), 16));
        default: return _mm512_loadu_ps(static_cast<const float *>(d.scales) + index);
    }
}

AVX512 void block_pairs(const Multiply &d, const Inputs &in, int64_t b, const Tables &tables) {
    alignas(64) __m512i panel[PIECE];  // two registers a pair of inputs
    alignas(64) static thread_local float sums[SLAB * WIDTH];
    for (int64_t slab = 0; slab < d.num_rows; slab += SLAB) {
        const int64_t rows = std::min<int64_t>(SLAB, d.num_rows - slab);
        std::fill_n(sums, rows * WIDTH, 0.0f);
        for (int64_t g = 0; g < d.num_groups; ++g) {
            const int64_t index = (b * d.num_groups + g) * WIDTH;
            const __m512 s0 = load_scales(d, index), s1 = load_scales(d, index + HALF);
            for (int64_t from = d.starts[g]; from < d.starts[g + 1]; from += PIECE) {
                const int64_t to = std::min<int64_t>(from + PIECE, d.starts[g + 1]), pairs = (to - from) / 2;
                decode_pairs(d, tables, b, from, to, panel);
                const uint16_t *x = in.x16 + slab * in.stride + from;
                int64_t m = 0;
                for (; m + 8 <= rows; m += 8)
                    dot_rows<8, 1>(x + m * in.stride, in.stride, pairs, panel, s0, s1, sums + m * WIDTH);
                for (; m + 4 <= rows; m += 4)
                    dot_rows<4, 1>(x + m * in.stride, in.stride, pairs, panel, s0, s1, sums + m * WIDTH);
                for (; m + 2 <= rows; m += 2)
                    dot_rows<2, 2>(x + m * in.stride, in.stride, pairs, panel, s0, s1, sums + m * WIDTH);
                for (; m < rows; ++m)
                    dot_rows<1, 4>(x + m * in.stride, in.stride, pairs, panel, s0, s1, sums + m * WIDTH);
            }
            if (d.offsets) {
                const __m512 o0 = _mm512_loadu_ps(d.offsets + index), o1 = _mm512_loadu_ps(d.offsets + index + HALF);
                for (int64_t m = 0; m < rows; ++m) {
                    const __m512 of_x = _mm512_set1_ps(in.sums[(slab + m) * d.num_groups + g]);
                    float *sum = sums + m * WIDTH;
                    _mm512_storeu_ps(sum, _mm512_fnmadd_ps(o0, of_x, _mm512_loadu_ps(sum)));
                    _mm512_storeu_ps(sum + HALF, _mm512_fnmadd_ps(o1, of_x, _mm512_loadu_ps(sum + HALF)));
                }
            }
        }
        for (int64_t m = 0; m < rows; ++m) finish_row(d, slab + m, b * WIDTH, sums + m * WIDTH);
    }
}

AVX512 void work_pairs(Team *team) {
    Tables tables;
    load_tables(team->d, tables);
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(team->d);) block_pairs(team->d, team->in, b, tables);
}

// ---- whole numbers: inputs are rounded to eight bits, a scale for each row. Codes are int8 [K / 4][32 outputs][4].

struct Rounded {
    std::vector<uint8_t> x;      // [rows, K], 128 more than the number
    std::vector<float> scales;  // [rows]
};

AVX512 void round_rows(const Multiply &d, Rounded &rounded) {
    rounded.x.assign(size_t(d.num_rows * d.num_padded), 128);
    rounded.scales.resize(size_t(d.num_rows));
    std::vector<float> row(size_t(d.num_inputs));
    for (int64_t m = 0; m < d.num_rows; ++m) {
        float largest = 0;
        const uint16_t *narrow = static_cast<const uint16_t *>(d.x) + m * d.x_stride;
        const float *wide = static_cast<const float *>(d.x) + m * d.x_stride;
        for (int64_t k = 0; k < d.num_inputs; ++k) row[k] = d.is_bf16 ? from_bf16(narrow[k]) : wide[k];
        bool is_broken = false;
        for (int64_t k = 0; k < d.num_inputs; ++k) {
            const float size = std::fabs(row[k]);
            largest = size > largest ? size : largest;
            is_broken |= !(size <= 3.4e38f);
        }
        const float scale = largest / 127.0f, inverse = largest > 0 ? 127.0f / largest : 0.0f;
        rounded.scales[m] = is_broken ? NAN : scale;
        uint8_t *out = rounded.x.data() + m * d.num_padded;
        if (!is_broken)
            for (int64_t k = 0; k < d.num_inputs; ++k) out[k] = uint8_t(int32_t(std::nearbyintf(row[k] * inverse)) + 128);
    }
}

template <int ROWS>
AVX512 INLINE void dot_whole(const Multiply &d, const Rounded &in, int64_t b, int64_t m) {
    __m512i sums[ROWS][2];
    UNROLL for (int r = 0; r < ROWS; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    const uint8_t *w = d.codes + b * d.num_padded * WIDTH;
    const uint8_t *x = in.x.data() + m * d.num_padded;
    for (int64_t k = 0; k < d.num_padded; k += 4, w += 4 * WIDTH) {
        const __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
        UNROLL for (int r = 0; r < ROWS; ++r) {
            int32_t four;
            std::memcpy(&four, x + r * d.num_padded + k, sizeof four);
            const __m512i all = _mm512_set1_epi32(four);
            sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], all, w0);
            sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], all, w1);
        }
    }
    UNROLL for (int r = 0; r < ROWS; ++r) {
        alignas(64) float out[WIDTH];
        const __m512 of_row = _mm512_set1_ps(in.scales[m + r]);
        UNROLL for (int half = 0; half < 2; ++half) {
            const int64_t o = b * WIDTH + half * HALF;
            // inputs are 128 too large: an output's sum of weights, times 128, is too much
            const __m512i excess = _mm512_cvtps_epi32(_mm512_loadu_ps(d.sums + o));
            const __m512 exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r][half], _mm512_slli_epi32(excess, 7)));
            _mm512_store_ps(out + half * HALF,
                            _mm512_mul_ps(exact, _mm512_mul_ps(load_scales(d, o), of_row)));
        }
        finish_row(d, m + r, b * WIDTH, out);
    }
}

struct WholeTeam {
    const Multiply &d;
    const Rounded &in;
    std::atomic<int64_t> next{0};
};

AVX512 void work_whole(WholeTeam *team) {
    const Multiply &d = team->d;
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(d);) {
        int64_t m = 0;
        for (; m + 8 <= d.num_rows; m += 8) dot_whole<8>(d, team->in, b, m);
        for (; m + 4 <= d.num_rows; m += 4) dot_whole<4>(d, team->in, b, m);
        for (; m < d.num_rows; ++m) dot_whole<1>(d, team->in, b, m);
    }
}

#endif

bool has_avx512() {
#if HAS_X86
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

// Inputs in the order of K; those that are in order already are used where they lie.
void arrange(const Multiply &d, bool is_narrow, Inputs &in) {
    const uint16_t *narrow = static_cast<const uint16_t *>(d.x);
    const float *wide = static_cast<const float *>(d.x);
    in.stride = d.order ? d.num_padded : d.x_stride;
    if (!d.order && bool(d.is_bf16) == is_narrow) {
        in.x16 = narrow;
        in.x32 = wide;
    } else {
        in.stride = d.num_padded;
        if (is_narrow) in.narrow.resize(size_t(d.num_rows * d.num_padded));
        else in.wide.resize(size_t(d.num_rows * d.num_padded));
        for (int64_t m = 0; m < d.num_rows; ++m)
            for (int64_t k = 0; k < d.num_padded; ++k) {
                const int64_t from = d.order ? d.order[k] : k, at = m * d.num_padded + k;
                const int64_t place = m * d.x_stride + from;
                if (is_narrow) in.narrow[at] = from < 0 ? 0 : narrow[place];
                else in.wide[at] = from < 0 ? 0 : d.is_bf16 ? from_bf16(narrow[place]) : wide[place];
            }
        in.x16 = in.narrow.data();
        in.x32 = in.wide.data();
    }
    if (!d.offsets) return;
    in.sums.resize(size_t(d.num_rows * d.num_groups));
    for (int64_t m = 0; m < d.num_rows; ++m)
        for (int64_t g = 0; g < d.num_groups; ++g) {
            float sum = 0;
            for (int64_t k = d.starts[g]; k < d.starts[g + 1]; ++k)
                sum += is_narrow ? from_bf16(in.x16[m * in.stride + k]) : in.x32[m * in.stride + k];
            in.sums[m * d.num_groups + g] = sum;
        }
}

// GOMP_parallel of the OpenMP library that torch runs on: the same threads do both works.
using Parallel = void (*)(void (*)(void *), void *, unsigned num_threads, unsigned flags);

template <typename T>
void run(const Multiply &d, void *parallel, void (*work)(T *), T &team) {
    if (parallel && d.num_threads > 1)
        reinterpret_cast<Parallel>(parallel)(reinterpret_cast<void (*)(void *)>(work), &team, unsigned(d.num_threads), 0);
    else
        work(&team);
}

}  // namespace

extern "C" {

// 1 where this processor has the instructions of the fast path.
int compact_has_avx512() { return has_avx512() ? 1 : 0; }

// `parallel` may be null: one thread does all.
void compact_multiply(const Multiply *d, void *parallel) {
    static thread_local Inputs in;
    const bool is_narrow = d->is_bf16 && has_avx512();
    arrange(*d, is_narrow, in);
    Team team{*d, in};
#if HAS_X86
    if (is_narrow) return run(*d, parallel, work_pairs, team);
#endif
    run(*d, parallel, work_float, team);
}

// The same with inputs rounded to eight bits; only where compact_has_avx512.
void compact_multiply_whole(const Multiply *d, void *parallel) {
#if HAS_X86
    static thread_local Rounded in;
    round_rows(*d, in);
    WholeTeam team{*d, in};
    run(*d, parallel, work_whole, team);
#else
    (void)d, (void)parallel;
#endif
}

}  // extern "C"
