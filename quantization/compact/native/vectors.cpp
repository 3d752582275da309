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

}  // namespace

AVX512 void work_vectors(Team *team) {
    Tables tables;
    load_tables(team->d, tables);
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(team->d);) block_pairs(team->d, team->in, b, tables);
}

}  // namespace compact

#endif
