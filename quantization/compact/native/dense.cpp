// Many rows: weights, scaled, are rounded to bfloat16 in panels as plain weights are, once for all rows of a slab, and
// multiplied by AMX or by AVX-512. A lone scale of an output is applied to the sum instead.

#include "avx512.h"
#include "tiles.h"

#if HAS_X86

namespace compact {

namespace {

constexpr int NUM_BLOCKS = 2;          // whose panels are multiplied together: four tiles of sums
constexpr int DEEP = 320;              // inputs of two panels, which then take 40 KiB of the first-level cache
constexpr int TALL = 512;              // rows of a slab at most
constexpr int SLAB_BYTES = 768 << 10;  // of inputs, which stay in the second-level cache while all blocks are done
constexpr int CHUNK = TILE_BYTES / 2;  // inputs of a tile

// weight = scale * value - offset, in place, for `count` registers of pairs of two halves.
AVX512 INLINE void scale_pairs(__m512i *panel, int64_t count, const __m512 *scale, const __m512 *offset) {
    alignas(64) static const uint16_t TURNS[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                   8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i turns = _mm512_load_si512(TURNS), upper = _mm512_set1_epi32(int(0xffff0000));
    for (int64_t i = 0; i < count; i += 2)
        UNROLL for (int half = 0; half < 2; ++half) {
            const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(panel[i + half], 16));
            const __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(panel[i + half], upper));
            const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_fmsub_ps(odd, scale[half], offset[half]),
                                                              _mm512_fmsub_ps(even, scale[half], offset[half]));
            panel[i + half] = _mm512_permutexvar_epi16(turns, both);
        }
}

INLINE bool scales_sums(const Multiply &d) { return d.num_groups == 1 && !d.offsets; }

// Inputs [from, to) of a block; the panel is filled with zeros up to a whole tile. `g` is the group of `from`.
AVX512 INLINE void fill_panel(const Multiply &d, const Tables &tables, int64_t b, int64_t from, int64_t to, int64_t &g,
                              __m512i *panel) {
    for (int64_t at = from; at < to;) {
        while (d.starts[g + 1] <= at) ++g;
        const int64_t stop = std::min<int64_t>(to, d.starts[g + 1]);
        decode_pairs(d, tables, b, at, stop, panel + (at - from));
        if (!scales_sums(d)) {
            const int64_t index = (b * d.num_groups + g) * WIDTH;
            const __m512 scale[2] = {load_scales(d, index), load_scales(d, index + HALF)};
            __m512 offset[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
            if (d.offsets) offset[0] = _mm512_loadu_ps(d.offsets + index), offset[1] = _mm512_loadu_ps(d.offsets + index + HALF);
            scale_pairs(panel + (at - from), stop - at, scale, offset);
        }
        at = stop;
    }
    for (int64_t at = to; (at - from) % CHUNK; ++at) panel[at - from] = _mm512_setzero_si512();
}

// 16 rows with the panels of two blocks, whole tiles of inputs.
AMX INLINE void multiply_tiles(const uint16_t *x, int64_t stride, int64_t inputs, const __m512i (*panels)[DEEP],
                               float *sums, float *other_sums, bool is_first) {
    constexpr int64_t LINE = WIDTH * sizeof(float), PAIRS = 2 * sizeof(__m512i);
    if (is_first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, LINE);
        _tile_loadd(1, sums + HALF, LINE);
        _tile_loadd(2, other_sums, LINE);
        _tile_loadd(3, other_sums + HALF, LINE);
    }
    for (int64_t k = 0; k < inputs; k += CHUNK) {
        _tile_loadd(4, x + k, stride * 2);
        _tile_loadd(5, panels[0] + k, PAIRS);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, panels[0] + k + 1, PAIRS);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, panels[1] + k, PAIRS);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, panels[1] + k + 1, PAIRS);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, sums, LINE);
    _tile_stored(1, sums + HALF, LINE);
    _tile_stored(2, other_sums, LINE);
    _tile_stored(3, other_sums + HALF, LINE);
}

using Sums = float[NUM_BLOCKS][TALL * WIDTH];

AMX INLINE void slab_by_tiles(const uint16_t *x, int64_t stride, int64_t rows, int64_t inputs,
                              const __m512i (*panels)[DEEP], Sums &sums, bool is_first) {
    TILES_SEE_MEMORY;
    for (int64_t t = 0; t < num_row_tiles(rows); ++t) {
        const int64_t at = t * TILE_ROWS * WIDTH;
        multiply_tiles(x + first_row(t, rows) * stride, stride, inputs, panels, sums[0] + at, sums[1] + at, is_first);
    }
    TILES_SEE_MEMORY;
}

AVX512 INLINE void slab_by_vectors(const uint16_t *x, int64_t stride, int64_t rows, int64_t inputs,
                                   const __m512i *panel, float *sums, bool is_first) {
    const __m512 one = _mm512_set1_ps(1.0f);
    const int64_t pairs = inputs / 2;
    if (is_first) std::fill_n(sums, rows * WIDTH, 0.0f);
    int64_t m = 0;
    for (; m + 12 <= rows; m += 12) dot_rows<12, 1>(x + m * stride, stride, pairs, panel, one, one, sums + m * WIDTH);
    for (; m + 4 <= rows; m += 4) dot_rows<4, 1>(x + m * stride, stride, pairs, panel, one, one, sums + m * WIDTH);
    for (; m < rows; ++m) dot_rows<1, 4>(x + m * stride, stride, pairs, panel, one, one, sums + m * WIDTH);
}

// Where a row's sums stand: tiles overlap at the end.
template <bool HAS_TILES>
INLINE int64_t place_of(int64_t m, int64_t rows) {
    const int64_t tile = m / TILE_ROWS;
    return HAS_TILES ? m - first_row(tile, rows) + tile * TILE_ROWS : m;
}

// Rows [slab, slab + rows) with blocks [b, b + count).
template <bool HAS_TILES>
AMX INLINE void multiply_blocks(const Multiply &d, const Inputs &in, const Tables &tables, int64_t slab, int64_t rows,
                                int64_t b, int64_t count, Sums &sums) {
    alignas(64) __m512i panels[NUM_BLOCKS][DEEP];
    const int64_t num_panels = (d.num_padded + DEEP - 1) / DEEP, chunks = (d.num_padded + CHUNK - 1) / CHUNK;
    const int64_t depth = (chunks + num_panels - 1) / std::max<int64_t>(num_panels, 1) * CHUNK;
    int64_t groups[NUM_BLOCKS] = {};
    for (int64_t from = 0; from < d.num_padded; from += depth) {
        const int64_t to = std::min<int64_t>(from + depth, d.num_padded);
        const int64_t inputs = HAS_TILES ? (to - from + CHUNK - 1) / CHUNK * CHUNK : to - from;
        for (int64_t i = 0; i < count; ++i) fill_panel(d, tables, b + i, from, to, groups[i], panels[i]);
        const uint16_t *x = in.x16 + slab * in.stride + from;
        if (HAS_TILES) slab_by_tiles(x, in.stride, rows, inputs, panels, sums, from == 0);
        else
            for (int64_t i = 0; i < count; ++i)
                slab_by_vectors(x, in.stride, rows, inputs, panels[i], sums[i], from == 0);
    }
    for (int64_t i = 0; i < count; ++i) {
        __m512 s0 = _mm512_set1_ps(1.0f), s1 = s0;
        const int64_t first = (b + i) * WIDTH;
        if (scales_sums(d)) s0 = load_scales(d, first), s1 = load_scales(d, first + HALF);
        for (int64_t m = 0; m < rows; ++m)
            finish_row_16(d, slab + m, first, sums[i] + place_of<HAS_TILES>(m, rows) * WIDTH, s0, s1);
    }
}

// Slabs are of like heights, since a tile reads 16 rows; all blocks are done with one before the next.
template <bool HAS_TILES>
AMX INLINE void work(Team *team) {
    alignas(64) static thread_local Sums sums;
    const Multiply &d = team->d;
    Tables tables;
    load_tables(d, tables);
    const int64_t tallest = std::min<int64_t>(TALL, std::max<int64_t>(64, SLAB_BYTES / (2 * d.num_padded + 1)));
    const int64_t num_slabs = (d.num_rows + tallest - 1) / tallest, height = (d.num_rows + num_slabs - 1) / num_slabs;
    const int64_t num_pairs = (num_blocks(d) + NUM_BLOCKS - 1) / NUM_BLOCKS;
    for (int64_t task; (task = team->next.fetch_add(1)) < num_slabs * num_pairs;) {
        const int64_t slab = task / num_pairs * height, b = task % num_pairs * NUM_BLOCKS;
        const int64_t rows = std::min<int64_t>(height, d.num_rows - slab);
        const int64_t count = std::min<int64_t>(NUM_BLOCKS, num_blocks(d) - b);
        multiply_blocks<HAS_TILES>(d, team->in, tables, slab, rows, b, count, sums);
    }
}

}  // namespace

AMX void work_tiles(Team *team) {
    begin_tiles();
    work<true>(team);
    end_tiles();
}

AMX void work_dense(Team *team) { work<false>(team); }  // has no instruction of tiles

}  // namespace compact

#endif
