// Products of whole numbers: inputs are rounded to eight bits, a scale for each row. Codes are int8 [K / 4][32 outputs][4],
// which is the order of a tile; K is padded to whole tiles.

#include "avx512.h"
#include "tiles.h"

#if HAS_X86

namespace compact {

AVX512 void round_rows(const Multiply &d, Rounded &rounded, int64_t least_rows) {
    const int64_t all = std::max(d.num_rows, least_rows);
    rounded.x.resize(size_t(all * d.num_padded));
    std::memset(rounded.x.data() + d.num_rows * d.num_padded, 128, size_t((all - d.num_rows) * d.num_padded));
    rounded.scales.resize(size_t(d.num_rows));
    const __m512 most = _mm512_set1_ps(3.4e38f);
    for (int64_t m = 0; m < d.num_rows; ++m) {
        const uint16_t *narrow = static_cast<const uint16_t *>(d.x) + m * d.x_stride;
        const float *wide = static_cast<const float *>(d.x) + m * d.x_stride;
        const auto load = [&](int64_t k) AVX512 {
            const __mmask16 kept = __mmask16((1u << std::min<int64_t>(HALF, d.num_inputs - k)) - 1);
            if (!d.is_bf16) return _mm512_maskz_loadu_ps(kept, wide + k);
            const __m256i half = _mm256_maskz_loadu_epi16(kept, narrow + k);
            return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
        };
        __m512 largest = _mm512_setzero_ps();
        __mmask16 is_fine = 0xffff;
        for (int64_t k = 0; k < d.num_inputs; k += HALF) {
            const __m512 size = _mm512_abs_ps(load(k));
            largest = _mm512_max_ps(largest, size);
            is_fine &= _mm512_cmp_ps_mask(size, most, _CMP_LE_OQ);  // false of NaN and infinity
        }
        const float top = _mm512_reduce_max_ps(largest);
        rounded.scales[m] = is_fine == 0xffff ? top / 127.0f : NAN;
        const __m512 inverse = _mm512_set1_ps(is_fine == 0xffff && top > 0 ? 127.0f / top : 0.0f);
        uint8_t *out = rounded.x.data() + m * d.num_padded;
        for (int64_t k = 0; k < d.num_padded; k += HALF) {
            __m512i number = _mm512_setzero_si512();
            if (k < d.num_inputs) number = _mm512_cvtps_epi32(_mm512_mul_ps(load(k), inverse));
            const __m128i octets = _mm512_cvtepi32_epi8(_mm512_add_epi32(number, _mm512_set1_epi32(128)));
            _mm_storeu_si128(reinterpret_cast<__m128i *>(out + k), octets);
        }
    }
}

namespace {

// A row's products, from sums of inputs that are 128 too large: an output's sum of weights, times 128, is too much.
AVX512 INLINE void finish_whole(const Multiply &d, const Rounded &in, int64_t b, int64_t m, __m512i low, __m512i high) {
    alignas(64) float out[WIDTH];
    __m512i sums[2] = {low, high};
    const __m512 of_row = _mm512_set1_ps(in.scales[m]);
    UNROLL for (int half = 0; half < 2; ++half) {
        const __m512i excess = _mm512_cvtps_epi32(_mm512_loadu_ps(d.sums + b * WIDTH + half * HALF));
        const __m512i exact = _mm512_sub_epi32(sums[half], _mm512_slli_epi32(excess, 7));
        _mm512_store_ps(out + half * HALF, _mm512_cvtepi32_ps(exact));
    }
    finish_row_16(d, m, b * WIDTH, out, _mm512_mul_ps(load_scales(d, b * WIDTH), of_row),
                  _mm512_mul_ps(load_scales(d, b * WIDTH + HALF), of_row));
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
    UNROLL for (int r = 0; r < ROWS; ++r) finish_whole(d, in, b, m + r, sums[r][0], sums[r][1]);
}

// 16 or 32 rows from row m0 and m1 on with a block.
template <int NUM>
AMX INLINE void whole_tiles(const Multiply &d, const Rounded &in, int64_t b, int64_t m0, int64_t m1, int32_t *sums) {
    const uint8_t *w = d.codes + b * d.num_padded * WIDTH;
    const uint8_t *x0 = in.x.data() + m0 * d.num_padded, *x1 = in.x.data() + m1 * d.num_padded;
    constexpr int64_t LINE = WIDTH * sizeof(int32_t), SIZE = TILE_ROWS * WIDTH;
    TILES_SEE_MEMORY;
    _tile_zero(0);
    _tile_zero(1);
    if (NUM == 2) _tile_zero(2);
    if (NUM == 2) _tile_zero(3);
    for (int64_t k = 0; k < d.num_padded; k += TILE_BYTES) {
        _tile_loadd(6, w + k * WIDTH, 4 * WIDTH);
        _tile_loadd(7, w + k * WIDTH + 4 * HALF, 4 * WIDTH);
        _tile_loadd(4, x0 + k, d.num_padded);
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        if (NUM == 2) {
            _tile_loadd(5, x1 + k, d.num_padded);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
    }
    _tile_stored(0, sums, LINE);
    _tile_stored(1, sums + HALF, LINE);
    if (NUM == 2) _tile_stored(2, sums + SIZE, LINE);
    if (NUM == 2) _tile_stored(3, sums + SIZE + HALF, LINE);
    TILES_SEE_MEMORY;
}

AVX512 INLINE void finish_tile(const Multiply &d, const Rounded &in, int64_t b, int64_t tile, const int32_t *sums) {
    const int64_t first = first_row(tile, d.num_rows), stop = std::min(d.num_rows, (tile + 1) * TILE_ROWS);
    for (int64_t m = tile * TILE_ROWS; m < stop; ++m) {
        const int32_t *row = sums + (m - first) * WIDTH;
        finish_whole(d, in, b, m, _mm512_loadu_si512(row), _mm512_loadu_si512(row + HALF));
    }
}

}  // namespace

AVX512 void work_whole(WholeTeam *team) {
    const Multiply &d = team->d;
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(d);) {
        int64_t m = 0;
        for (; m + 12 <= d.num_rows; m += 12) dot_whole<12>(d, team->in, b, m);
        for (; m + 4 <= d.num_rows; m += 4) dot_whole<4>(d, team->in, b, m);
        for (; m < d.num_rows; ++m) dot_whole<1>(d, team->in, b, m);
    }
}

AMX void work_whole_tiles(WholeTeam *team) {
    const Multiply &d = team->d;
    alignas(64) int32_t sums[2 * TILE_ROWS * WIDTH];
    const int64_t tiles = num_row_tiles(d.num_rows);
    begin_tiles();
    for (int64_t b; (b = team->next.fetch_add(1)) < num_blocks(d);) {
        int64_t t = 0;
        for (; t + 2 <= tiles; t += 2) {
            whole_tiles<2>(d, team->in, b, first_row(t, d.num_rows), first_row(t + 1, d.num_rows), sums);
            finish_tile(d, team->in, b, t, sums);
            finish_tile(d, team->in, b, t + 1, sums + TILE_ROWS * WIDTH);
        }
        if (t < tiles) {
            whole_tiles<1>(d, team->in, b, first_row(t, d.num_rows), 0, sums);
            finish_tile(d, team->in, b, t, sums);
        }
    }
    end_tiles();
}

}  // namespace compact

#endif
