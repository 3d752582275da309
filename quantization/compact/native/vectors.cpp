// Few rows with AVX-512 BF16: codes of whole numbers are exact in bfloat16, scales are applied to float32 sums.

#include "avx512.h"

#if HAS_X86

namespace compact {

namespace {

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

constexpr int64_t FUSED_ROWS = 2;  // more of them are faster with a panel that is stored
constexpr int64_t AHEAD = 2048;    // bytes of codes that are fetched before they are needed

// Codes of four bits with one table: ROWS rows from row m on. Decoded registers are multiplied at once and never stored;
// STEPS steps of four inputs have sums of their own, since each product waits for the one before it.
template <int ROWS, int STEPS>
AVX512 INLINE void dot_four_bits(const Multiply &d, const Inputs &in, int64_t b, int64_t m, const Tables &tables) {
    __m512 total[ROWS][2];
    UNROLL for (int r = 0; r < ROWS; ++r) total[r][0] = total[r][1] = _mm512_setzero_ps();
    const uint8_t *at = d.codes + b * bytes_of_a_block(d);
    for (int64_t g = 0; g < d.num_groups; ++g) {
        __m512 part[STEPS][ROWS][2][2];
        UNROLL for (int s = 0; s < STEPS; ++s)
            UNROLL for (int i = 0; i < ROWS * 4; ++i) part[s][i / 4][i / 2 % 2][i % 2] = _mm512_setzero_ps();
        const auto step = [&](int64_t k, __m512 (*sums)[2][2]) AVX512 INLINE_LAMBDA {
            _mm_prefetch(reinterpret_cast<const char *>(at + AHEAD), _MM_HINT_T0);
            UNROLL for (int half = 0; half < 2; ++half, at += 32) {
                const __m512i codes = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at)));
                const __m512bh w0 = (__m512bh)_mm512_permutexvar_epi16(codes, tables.words);
                const __m512bh w1 = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 4), tables.words);
                UNROLL for (int r = 0; r < ROWS; ++r) {
                    int32_t pair[2];
                    std::memcpy(pair, in.x16 + (m + r) * in.stride + k, sizeof pair);
                    sums[r][half][0] = _mm512_dpbf16_ps(sums[r][half][0], w0, (__m512bh)_mm512_set1_epi32(pair[0]));
                    sums[r][half][1] = _mm512_dpbf16_ps(sums[r][half][1], w1, (__m512bh)_mm512_set1_epi32(pair[1]));
                }
            }
        };
        int64_t k = d.starts[g];
        const int64_t stop = d.starts[g + 1];
        for (; k + 4 * STEPS <= stop; k += 4 * STEPS)
            UNROLL for (int s = 0; s < STEPS; ++s) step(k + 4 * s, part[s]);
        for (; k < stop; k += 4) step(k, part[0]);
        const int64_t index = (b * d.num_groups + g) * WIDTH;
        UNROLL for (int half = 0; half < 2; ++half) {
            const __m512 scale = load_scales(d, index + half * HALF);
            UNROLL for (int r = 0; r < ROWS; ++r) {
                __m512 sum = _mm512_add_ps(part[0][r][half][0], part[0][r][half][1]);
                UNROLL for (int s = 1; s < STEPS; ++s)
                    sum = _mm512_add_ps(sum, _mm512_add_ps(part[s][r][half][0], part[s][r][half][1]));
                total[r][half] = _mm512_fmadd_ps(sum, scale, total[r][half]);
                if (d.offsets)
                    total[r][half] = _mm512_fnmadd_ps(_mm512_loadu_ps(d.offsets + index + half * HALF),
                                                      _mm512_set1_ps(in.sums[(m + r) * d.num_groups + g]), total[r][half]);
            }
        }
    }
    alignas(64) float sums[WIDTH];
    const __m512 one = _mm512_set1_ps(1.0f);
    UNROLL for (int r = 0; r < ROWS; ++r) {
        _mm512_store_ps(sums, total[r][0]);
        _mm512_store_ps(sums + HALF, total[r][1]);
        finish_row_16(d, m + r, b * WIDTH, sums, one, one);
    }
}

AVX512 void block_four_bits(const Multiply &d, const Inputs &in, int64_t b, const Tables &tables) {
    int64_t m = 0;
    for (; m + 2 <= d.num_rows; m += 2) dot_four_bits<2, 1>(d, in, b, m, tables);
    for (; m < d.num_rows; ++m) dot_four_bits<1, 2>(d, in, b, m, tables);
}


}  // namespace

AVX512 void sum_groups_16(const Multiply &d, Inputs &in) {
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    in.sums.resize(size_t(d.num_rows * d.num_groups));
    for (int64_t m = 0; m < d.num_rows; ++m) {
        const uint16_t *x = in.x16 + m * in.stride;
        for (int64_t g = 0; g < d.num_groups; ++g) {
            __m512 sum = _mm512_setzero_ps();
            for (int64_t k = d.starts[g]; k < d.starts[g + 1]; k += 32) {
                const int64_t left = d.starts[g + 1] - k;
                const __mmask32 kept = left >= 32 ? ~__mmask32(0) : (__mmask32(1) << left) - 1;
                sum = _mm512_dpbf16_ps(sum, ones, (__m512bh)_mm512_maskz_loadu_epi16(kept, x + k));
            }
            in.sums[m * d.num_groups + g] = _mm512_reduce_add_ps(sum);
        }
    }
}

AVX512 void work_vectors(Team *team) {
    Tables tables;
    load_tables(team->d, tables);
    const bool is_fused = team->d.bits == 4 && !team->d.has_own && team->d.num_rows <= FUSED_ROWS;
    const auto block = is_fused ? block_four_bits : block_pairs;
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(team->d);) block(team->d, team->in, b, tables);
}

}  // namespace compact

#endif
