// Attention of rows with several queries over a paged cache, by the matrix unit of x86 (AMX), in bfloat16.
//
// A work item is a tile of a row's queries and one key-value head with all query heads that share it: up to LINES lines, of
// one query and one head each. Blocks of KEYS keys are taken one after the other, and sums are rescaled when a line meets a
// larger score (Milakov and Gimelshein 2018; Dao et al. 2022, algorithm 1). All products are computed transposed, so that
// lines are the lanes of registers: scores [keys, lines] = keys x queries, and sums [head_size, lines] = values x weights.
// Then keys are read as they lie, and the largest score and the sum of weights of each line need no shuffles.

#include "decode.h"

#if HAS_X86 && __GNUC__ >= 11
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#endif

namespace paged {

#if HAS_X86 && __GNUC__ >= 11

#define UNIT __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

namespace {

constexpr int64_t LANES = 16;   // lines of a group, and rows of a tile
constexpr int64_t DEPTH = 32;   // bfloat16 in a row of a tile
constexpr int64_t KEYS = 64;    // of a block
constexpr int64_t LINES = 128;  // of an item, at most
constexpr int64_t MOST = 256;   // elements of a head, at most
constexpr int64_t TILE = LANES * DEPTH;  // bfloat16 of a tile

// True if the processor has the unit and the system lets this process use it.
bool may_use_unit() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned BF16 = 1u << 22, TILES = 1u << 24;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & BF16) == 0 || (d & TILES) == 0) return false;
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)
    return has_vectors() && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

// A constant, since the compiler believes that the instruction reads 8 bytes of it.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileShapes SHAPES;

// Rows become columns, of 16 x 16 words of 32 bits.
UNIT INLINE void transpose(__m512i *x) {
    __m512i t[16], u[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        const __m512i a = _mm512_shuffle_i32x4(u[i], u[4 + i], 0x88), b = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0x88);
        const __m512i c = _mm512_shuffle_i32x4(u[i], u[4 + i], 0xdd), d = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0xdd);
        x[i] = _mm512_shuffle_i32x4(a, b, 0x88);
        x[8 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
        x[4 + i] = _mm512_shuffle_i32x4(c, d, 0x88);
        x[12 + i] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
}

// 2^x for x <= 0, to 3e-6 of itself, which bfloat16 does not see; NaN stays NaN. Below 2^-126 it is next to nothing.
UNIT INLINE __m512 power_of_two(__m512 x) {
    x = _mm512_max_ps(_mm512_set1_ps(-127.0f), x);
    const __m512 whole = _mm512_roundscale_ps(x, 0);
    const __m512 rest = _mm512_sub_ps(x, whole);  // -0.5 to 0.5
    __m512 y = _mm512_set1_ps(0.00957009641f);
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0.0559178599f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0.24024745f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0.693121815f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0.999999261f));
    return _mm512_scalef_ps(y, whole);
}

struct Tile {  // of a row's queries
    int64_t row, first, count;
};

// What one thread works in.
struct alignas(64) Room {
    uint16_t query[LINES * MOST];   // [groups, head_size / DEPTH, 16 pairs of elements, lanes, 2]
    uint16_t key[KEYS * MOST];      // [keys, head_size]
    uint16_t value[KEYS * MOST];    // [head_size / 16, KEYS / DEPTH, 16 elements, DEPTH keys]
    float sums[LINES * MOST];       // [groups, head_size, lanes]
    float scores[KEYS * LANES];     // [keys, lanes]
    uint16_t weights[KEYS * LANES];  // [KEYS / 2, lanes, 2]
    float peaks[LINES], totals[LINES];  // of raw scores, of weights
    int32_t seen[LINES], last[LINES];   // the positions that a line sees, both included
};

int64_t first_seen(const Decode &d, int64_t position) {
    if (d.chunk_size) return position / d.chunk_size * d.chunk_size;
    return d.window && position >= d.window ? position - d.window + 1 : 0;
}

struct Item {
    const Decode &d;
    const Tile &tile;
    int64_t kv_head;
    Room &room;

    int64_t group() const { return d.num_heads / d.num_kv_heads; }
    int64_t num_lines() const { return tile.count * group(); }
    int64_t start() const {  // position of the tile's first query
        return d.lengths[tile.row] - (d.tokens[tile.row + 1] - d.tokens[tile.row]) + tile.first;
    }

    UNIT void run() const {
        const int64_t size = d.head_size, groups = (num_lines() + LANES - 1) / LANES;
        pack_queries(groups);
        const int64_t end = start() + tile.count;
        const float scale = float(d.scale * 1.4426950408889634);  // to powers of two
        for (int64_t g = 0; g < groups * LANES; ++g) {
            room.peaks[g] = -std::numeric_limits<float>::infinity();
            room.totals[g] = 0;
        }
        std::memset(room.sums, 0, size_t(groups * LANES * size) * sizeof(float));
        for (int64_t at = first_seen(d, start()); at < end; at += KEYS) {
            take_keys(at, std::min(KEYS, end - at));
            for (int64_t g = 0; g < groups; ++g) {
                const int32_t *seen = room.seen + g * LANES, *last = room.last + g * LANES;
                if (at > last[LANES - 1] || at + KEYS <= seen[0]) continue;  // lines are in order of positions
                const bool is_whole = at + KEYS - 1 <= last[0] && at >= seen[LANES - 1];
                const bool is_half = at + DEPTH > last[LANES - 1];  // no line sees the second half of the keys
                score(g, is_half);
                soften(g, at, scale, is_whole, is_half ? DEPTH : KEYS);
                add(g, is_half);
            }
        }
        write_out(groups);
    }

    // Queries in pairs of elements, by lanes, and what each line sees. Lanes without a line repeat the last one.
    UNIT void pack_queries(int64_t groups) const {
        const int64_t size = d.head_size, many = num_lines(), heads = group();
        const auto *query = static_cast<const uint16_t *>(d.query) + kv_head * heads * size;
        for (int64_t line = 0; line < groups * LANES; ++line) {
            const int64_t position = start() + std::min(line, many - 1) / heads;
            room.last[line] = int32_t(position);
            room.seen[line] = int32_t(first_seen(d, position));
        }
        for (int64_t g = 0; g < groups; ++g) {
            for (int64_t at = 0; at < size; at += DEPTH) {
                __m512i x[LANES];
                for (int64_t lane = 0; lane < LANES; ++lane) {
                    const int64_t line = std::min(g * LANES + lane, many - 1);
                    const int64_t token = d.tokens[tile.row] + tile.first + line / heads;
                    x[lane] = _mm512_loadu_si512(query + token * d.query_stride + line % heads * size + at);
                }
                transpose(x);
                uint16_t *packed = room.query + (g * size + at) * LANES;
                for (int64_t i = 0; i < LANES; ++i) _mm512_store_si512(packed + i * DEPTH, x[i]);
            }
        }
    }

    // Copies keys, and values with rows and columns exchanged. What stands behind the last key is zero.
    UNIT void take_keys(int64_t at, int64_t count) const {
        const int64_t size = d.head_size;
        const int32_t *blocks = d.block_ids + tile.row * d.table_stride;
        const auto *keys = static_cast<const uint16_t *>(d.key) + kv_head * d.head_stride;
        const auto *values = static_cast<const uint16_t *>(d.value) + kv_head * d.head_stride;
        int64_t offsets[KEYS];
        for (int64_t i = 0; i < count; ++i)
            offsets[i] = blocks[(at + i) / d.block_size] * d.block_stride + (at + i) % d.block_size * d.slot_stride;
        const __m512i zero = _mm512_setzero_si512();
        for (int64_t i = 0; i < KEYS; ++i)
            for (int64_t e = 0; e < size; e += DEPTH)
                _mm512_store_si512(room.key + i * size + e, i < count ? _mm512_loadu_si512(keys + offsets[i] + e) : zero);
        for (int64_t i = 0; i < KEYS; i += DEPTH) {
            for (int64_t e = 0; e < size; e += LANES) {
                __m512i x[LANES];  // pairs of keys: words of an element of both
                for (int64_t pair = 0; pair < LANES; ++pair) {
                    const int64_t key = i + 2 * pair;
                    const __m512i even = key < count ? load_half(values + offsets[key] + e) : zero;
                    const __m512i odd = key + 1 < count ? load_half(values + offsets[key + 1] + e) : zero;
                    x[pair] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
                }
                transpose(x);
                uint16_t *target = room.value + (e * KEYS + i * LANES);
                for (int64_t row = 0; row < LANES; ++row) _mm512_store_si512(target + row * DEPTH, x[row]);
            }
        }
    }

    UNIT INLINE static __m512i load_half(const uint16_t *x) {
        return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(x)));
    }

    UNIT void score(int64_t g, bool is_half) const {
        const int64_t size = d.head_size, stride = size * 2;
        const uint16_t *query = room.query + g * size * LANES;
        __asm__ volatile("" ::: "memory");  // the compiler does not know that tiles are read from memory
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int64_t at = 0; at < size; at += DEPTH) {
            _tile_loadd(4, query + at * LANES, 64);
            _tile_loadd(5, room.key + at, stride);
            _tile_dpbf16ps(0, 5, 4);
            _tile_loadd(6, room.key + LANES * size + at, stride);
            _tile_dpbf16ps(1, 6, 4);
            if (is_half) continue;
            _tile_loadd(5, room.key + 2 * LANES * size + at, stride);
            _tile_dpbf16ps(2, 5, 4);
            _tile_loadd(6, room.key + 3 * LANES * size + at, stride);
            _tile_dpbf16ps(3, 6, 4);
        }
        _tile_stored(0, room.scores, 64);
        _tile_stored(1, room.scores + LANES * LANES, 64);
        _tile_stored(2, room.scores + 2 * LANES * LANES, 64);
        _tile_stored(3, room.scores + 3 * LANES * LANES, 64);
        __asm__ volatile("" ::: "memory");
    }

    // Scores become weights; the sums so far are rescaled to the new largest score.
    UNIT void soften(int64_t g, int64_t at, float scale, bool is_whole, int64_t num_keys) const {
        const int64_t size = d.head_size;
        float *peaks = room.peaks + g * LANES, *totals = room.totals + g * LANES;
        const __m512i seen = _mm512_loadu_si512(room.seen + g * LANES), last = _mm512_loadu_si512(room.last + g * LANES);
        const __m512 hidden = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
        const __m512 before = _mm512_load_ps(peaks);
        __m512 peak = before;
        for (int64_t i = 0; i < num_keys; ++i) {
            __m512 x = _mm512_load_ps(room.scores + i * LANES);
            if (!is_whole) {
                const __m512i position = _mm512_set1_epi32(int32_t(at + i));
                const __mmask16 sees = _mm512_cmple_epi32_mask(position, last) & _mm512_cmpge_epi32_mask(position, seen);
                x = _mm512_mask_blend_ps(sees, hidden, x);
                _mm512_store_ps(room.scores + i * LANES, x);
            }
            peak = _mm512_max_ps(x, peak);
        }
        // A line that has seen nothing yet must not subtract infinities.
        const __m512 base = _mm512_mask_blend_ps(_mm512_cmp_ps_mask(peak, hidden, _CMP_EQ_OQ), peak, _mm512_setzero_ps());
        const __m512 factor = _mm512_set1_ps(scale), shift = _mm512_mul_ps(base, factor);
        __m512 total = _mm512_setzero_ps();
        for (int64_t i = 0; i < num_keys; i += 2) {
            const __m512 a = weight(room.scores + i * LANES, factor, shift, hidden);
            const __m512 b = weight(room.scores + (i + 1) * LANES, factor, shift, hidden);
            total = _mm512_add_ps(total, _mm512_add_ps(a, b));
            const __m512i even = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a));
            const __m512i odd = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b));
            _mm512_store_si512(room.weights + i * LANES, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
        }
        const __m512 rescale = power_of_two(_mm512_fmsub_ps(before, factor, shift));
        _mm512_store_ps(totals, _mm512_fmadd_ps(_mm512_load_ps(totals), rescale, total));
        _mm512_store_ps(peaks, peak);
        if (_mm512_cmp_ps_mask(before, peak, _CMP_NEQ_UQ) == 0) return;
        float *sums = room.sums + g * LANES * size;
        for (int64_t e = 0; e < size; ++e)
            _mm512_store_ps(sums + e * LANES, _mm512_mul_ps(_mm512_load_ps(sums + e * LANES), rescale));
    }

    UNIT INLINE static __m512 weight(const float *score, __m512 factor, __m512 shift, __m512 hidden) {
        const __m512 x = _mm512_load_ps(score);
        const __mmask16 sees = _mm512_cmp_ps_mask(x, hidden, _CMP_NEQ_UQ);
        return _mm512_maskz_mov_ps(sees, power_of_two(_mm512_fmsub_ps(x, factor, shift)));
    }

    UNIT void add(int64_t g, bool is_half) const {
        float *sums = room.sums + g * LANES * d.head_size;
        __asm__ volatile("" ::: "memory");
        _tile_loadd(4, room.weights, 64);
        if (!is_half) _tile_loadd(5, room.weights + TILE, 64);
        for (int64_t e = 0; e < d.head_size; e += 2 * LANES) {
            const uint16_t *value = room.value + e * KEYS;
            float *first = sums + e * LANES, *second = first + LANES * LANES;
            _tile_loadd(0, first, 64);
            _tile_loadd(1, second, 64);
            _tile_loadd(6, value, 64);
            _tile_dpbf16ps(0, 6, 4);
            _tile_loadd(7, value + LANES * KEYS, 64);
            _tile_dpbf16ps(1, 7, 4);
            if (!is_half) {
                _tile_loadd(6, value + TILE, 64);
                _tile_dpbf16ps(0, 6, 5);
                _tile_loadd(7, value + LANES * KEYS + TILE, 64);
                _tile_dpbf16ps(1, 7, 5);
            }
            _tile_stored(0, first, 64);
            _tile_stored(1, second, 64);
        }
        __asm__ volatile("" ::: "memory");
    }

    UNIT void write_out(int64_t groups) const {
        const int64_t size = d.head_size, heads = group(), many = num_lines();
        auto *out = static_cast<uint16_t *>(d.out) + kv_head * heads * size;
        for (int64_t g = 0; g < groups; ++g) {
            const __m512 share = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_load_ps(room.totals + g * LANES));
            for (int64_t e = 0; e < size; e += LANES) {
                __m512i x[LANES];
                const float *sums = room.sums + (g * size + e) * LANES;
                for (int64_t i = 0; i < LANES; ++i)
                    x[i] = _mm512_castps_si512(_mm512_mul_ps(_mm512_load_ps(sums + i * LANES), share));
                transpose(x);
                for (int64_t lane = 0; lane < LANES && g * LANES + lane < many; ++lane) {
                    const int64_t line = g * LANES + lane, token = d.tokens[tile.row] + tile.first + line / heads;
                    const __m256i y = (__m256i)_mm512_cvtneps_pbh(_mm512_castsi512_ps(x[lane]));
                    uint16_t *target = out + (token * d.num_heads + line % heads) * size + e;
                    _mm256_storeu_si256(reinterpret_cast<__m256i *>(target), y);
                }
            }
        }
    }
};

// Items are handed out one after the other, so that threads end together although tiles see different numbers of keys.
struct Team {
    const Decode &d;
    const std::vector<Tile> &tiles;
    std::atomic<int64_t> next{0};
};

UNIT void run_items(void *data) {
    static thread_local std::vector<Room> rooms(1);
    Team &team = *static_cast<Team *>(data);
    const int64_t kv_heads = team.d.num_kv_heads, count = int64_t(team.tiles.size()) * kv_heads;
    _tile_loadconfig(&SHAPES);
    for (int64_t item; (item = team.next.fetch_add(1)) < count;)
        Item{team.d, team.tiles[size_t(item / kv_heads)], item % kv_heads, rooms[0]}.run();
    _tile_release();
}

// The last queries of a row see the most keys, so they come first.
void cut(const Decode &d, std::vector<Tile> &tiles) {
    const int64_t most = std::max<int64_t>(1, LINES / (d.num_heads / d.num_kv_heads));
    tiles.clear();
    for (int64_t i = 0; i < d.num_rows; ++i) {
        const int64_t row = d.rows[i], count = d.tokens[row + 1] - d.tokens[row];
        for (int64_t first = (count - 1) / most * most; first >= 0; first -= most)
            tiles.push_back({row, first, std::min(most, count - first)});
    }
}

}  // namespace

#endif

}  // namespace paged

extern "C" {

// 1 if `paged_prompts` computes such heads on this processor.
int paged_prompts_serves(const Decode *d) {
#if HAS_X86 && __GNUC__ >= 11
    using namespace paged;
    static const bool may = may_use_unit();
    const bool is_plain = d->is_bf16 && !d->is_float8 && d->level >= VECTORS;
    return may && is_plain && d->head_size % DEPTH == 0 && d->head_size <= MOST && d->num_heads / d->num_kv_heads <= LINES;
#else
    return d == nullptr;
#endif
}

// One layer's attention of the rows in `rows`, which have several queries each. `parallel` as in `paged_decode`.
void paged_prompts(const Decode *d, void *parallel) {
#if HAS_X86 && __GNUC__ >= 11
    using namespace paged;
    using Parallel = void (*)(void (*)(void *), void *, unsigned num_threads, unsigned flags);
    static thread_local std::vector<Tile> tiles;
    cut(*d, tiles);
    Team team{*d, tiles};
    if (parallel && d->num_threads > 1 && tiles.size() * size_t(d->num_kv_heads) > 1)
        reinterpret_cast<Parallel>(parallel)(run_items, &team, unsigned(d->num_threads), 0);
    else
        run_items(&team);
#else
    (void)d, (void)parallel;
#endif
}

}  // extern "C"
