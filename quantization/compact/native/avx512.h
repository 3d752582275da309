// Codes into bfloat16 by permutations of registers, and rows with such a panel: AVX-512 with VBMI and BF16.
// A panel is [pairs of inputs][32 outputs][2].
#pragma once

#include "multiply.h"

#if HAS_X86

namespace compact {

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

// A row's sums of 32 outputs, times scales where they were not applied before, with what belongs to it.
AVX512 INLINE void finish_row_16(const Multiply &d, int64_t m, int64_t first, const float *sums, __m512 s0, __m512 s1) {
    __m512 low = _mm512_mul_ps(_mm512_loadu_ps(sums), s0), high = _mm512_mul_ps(_mm512_loadu_ps(sums + HALF), s1);
    const int64_t count = std::min<int64_t>(WIDTH, d.num_outputs - first);
    if (d.outlier_starts || !d.is_bf16) {
        alignas(64) float out[WIDTH];
        _mm512_store_ps(out, low);
        _mm512_store_ps(out + HALF, high);
        return finish_row(d, m, first, out);
    }
    const __mmask32 kept = count == WIDTH ? ~__mmask32(0) : (__mmask32(1) << count) - 1;
    if (d.bias) {
        low = _mm512_add_ps(low, _mm512_maskz_loadu_ps(__mmask16(kept), d.bias + first));
        high = _mm512_add_ps(high, _mm512_maskz_loadu_ps(__mmask16(kept >> HALF), d.bias + first + HALF));
    }
    uint16_t *y = static_cast<uint16_t *>(d.y) + m * d.num_outputs + first;
    _mm512_mask_storeu_epi16(y, kept, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

}  // namespace compact

#endif
