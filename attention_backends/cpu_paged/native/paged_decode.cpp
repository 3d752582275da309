// Attention of rows with one query over a paged cache, in place: no key or value is copied.
//
// A work item is one row and one key-value head with all query heads that share it, so a key is read once for all of
// them. Scores are summed in float32 whatever the cache holds. An item first takes all scores of its row, then the
// softmax, then the sum of values (the same three steps as in the definition): a row's scores fit in a cache of the
// processor, and nothing must be rescaled. Plain C++: the loops over elements are what the compiler turns into vectors,
// once for every instruction set named at VECTOR_CLONES; the processor's is taken when the library is loaded.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTOR_CLONES
#endif
#define INLINE __attribute__((always_inline)) inline  // into each clone, else it has none of the vectors

// What Python passes, one call for each layer. Strides count elements; those of head_size are 1.
struct Decode {
    const void *query;         // [tokens, heads, head_size], heads next to each other
    const void *key, *value;   // [blocks, slots, kv heads, head_size]
    void *out;                 // [tokens, heads, head_size], contiguous
    const int32_t *rows;       // [num_rows] of the step, to attend for
    const int32_t *tokens;     // [rows of the step], where a row's query is
    const int32_t *lengths;    // [rows of the step], tokens of a row
    const int32_t *block_ids;  // [rows of the step, table_stride]
    int64_t num_rows, num_heads, num_kv_heads, head_size, block_size, table_stride;
    int64_t query_stride;  // of a token
    int64_t block_stride, slot_stride, head_stride;
    int64_t window;    // newest tokens that a query sees; 0: all
    int64_t chunk_size;  // of positions, a query sees those of its own chunk; 0: all, or the window
    int64_t is_bf16;   // queries and outputs; else float32
    int64_t is_float8;  // keys and values are E4M3; else like the queries
    int64_t num_threads;
    double scale;
};

namespace {

constexpr int MAX_GROUP = 4;       // query heads that an item takes at once: their sums stay in registers
constexpr int MAX_HEAD_SIZE = 512;
constexpr int CACHE_LINE = 64;     // bytes

struct BFloat16 {
    uint16_t bits;  // the upper half of a float32
};

INLINE float widen(float x) { return x; }
INLINE float widen(BFloat16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}
// E4M3 without infinities (Micikevicius et al. 2022): 4 bits of exponent with bias 7, 3 of mantissa. Numbers below 2^-6 are
// counted in steps of 2^-9 instead of being made by their bits: a denormal float32 would cost the processor a trap.
struct Float8 {
    uint8_t bits;
};

INLINE float widen(Float8 x) {
    const uint32_t size = x.bits & 0x7f;
    const uint32_t wide_bits = (size << 20) + (uint32_t(127 - 7) << 23);
    float normal;
    std::memcpy(&normal, &wide_bits, sizeof normal);
    const float small = float(int32_t(size)) * 0x1p-9f;
    float found = size < 8 ? small : normal;
    found = size == 0x7f ? std::numeric_limits<float>::quiet_NaN() : found;
    return x.bits & 0x80 ? -found : found;
}
INLINE void narrow(float x, float &out) { out = x; }
INLINE void narrow(float x, BFloat16 &out) {  // to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    out.bits = uint16_t(x == x ? rounded : 0x7fc0);
}

// exp(x) of x <= 0 within 2e-7 of its value; std::exp is not turned into vectors. x = n ln 2 + r with |r| <= ln(2) / 2,
// ln 2 in two parts so that r is exact, and a polynomial in r (Cephes, expf).
INLINE float exp_negative(float x) {
    x = x < -87.0f ? -87.0f : x;  // below, 2^n would leave the normal numbers
    const float n = std::floor(x * 1.44269504f + 0.5f);
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const int32_t bits = (int32_t(n) + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

// In lanes of its own, since a compiler that honours NaN takes no maximum in vectors. NaN is passed over here, and
// comes back with exp(NaN - peak).
INLINE float largest(const float *x, int64_t count) {
    constexpr int LANES = 16;
    float lanes[LANES];
    std::fill_n(lanes, LANES, x[0]);
    int64_t at = 0;
    for (; at + LANES <= count; at += LANES)
        for (int i = 0; i < LANES; ++i) lanes[i] = x[at + i] > lanes[i] ? x[at + i] : lanes[i];
    for (; at < count; ++at) lanes[0] = x[at] > lanes[0] ? x[at] : lanes[0];
    return *std::max_element(lanes, lanes + LANES);
}

// The slots that one row sees of one key-value head's keys or values, a block at a time.
template <typename T>
struct Slots {
    const Decode &d;
    const T *head;          // slot 0 of block 0
    const int32_t *blocks;  // of the row
    int64_t first, length;  // positions [first, length)

    // visit(slot's elements, index from `first`) for every slot in order. Blocks lie anywhere, which the processor
    // cannot foresee: the next one is asked for while this one is read.
    template <typename Visit>
    INLINE void each(Visit visit) const {
        for (int64_t at = first, count; at < length; at += count) {
            const int64_t slot = at % d.block_size;
            count = std::min(d.block_size - slot, length - at);
            if (at + count < length) prefetch(start(at + count), std::min(d.block_size, length - at - count));
            const T *x = start(at) + slot * d.slot_stride;
            for (int64_t i = 0; i < count; ++i, x += d.slot_stride) visit(x, at - first + i);
        }
    }

    INLINE const T *start(int64_t position) const {
        return head + int64_t(blocks[position / d.block_size]) * d.block_stride;
    }

    INLINE void prefetch(const T *x, int64_t count) const {
        const int64_t bytes = d.head_size * int64_t(sizeof(T));
        for (int64_t i = 0; i < count; ++i, x += d.slot_stride)
            for (int64_t at = 0; at < bytes; at += CACHE_LINE)
                __builtin_prefetch(reinterpret_cast<const char *>(x) + at, 0, 2);
    }
};

// GROUP query heads from `head` on, of one row. SIZE: the head size where it is known to the compiler, else 0.
// T: of queries and outputs, C: of the cache.
template <typename T, typename C, int GROUP, int SIZE>
INLINE void attend(const Decode &d, int64_t row, int64_t head, std::vector<float> &scratch) {
    constexpr int MAX = SIZE ? SIZE : MAX_HEAD_SIZE;
    const int64_t size = SIZE ? SIZE : d.head_size;
    const int64_t kv_head = head / (d.num_heads / d.num_kv_heads);
    const int64_t length = d.lengths[row];
    const int64_t first = d.chunk_size ? (length - 1) / d.chunk_size * d.chunk_size
                          : d.window && length > d.window ? length - d.window : 0;
    const int64_t width = length - first;
    const int32_t *blocks = d.block_ids + row * d.table_stride;
    const Slots<C> keys{d, static_cast<const C *>(d.key) + kv_head * d.head_stride, blocks, first, length};
    const Slots<C> values{d, static_cast<const C *>(d.value) + kv_head * d.head_stride, blocks, first, length};
    if (int64_t(scratch.size()) < GROUP * width) scratch.resize(2 * GROUP * width);
    float *scores = scratch.data();  // [GROUP, width]

    float q[GROUP][MAX];
    const T *query = static_cast<const T *>(d.query) + d.tokens[row] * d.query_stride + head * size;
    for (int g = 0; g < GROUP; ++g)
        for (int64_t i = 0; i < size; ++i) q[g][i] = widen(query[g * size + i]) * float(d.scale);

    keys.each([&](const C *key, int64_t at) {
        float wide[MAX];
        for (int64_t i = 0; i < size; ++i) wide[i] = widen(key[i]);
        for (int g = 0; g < GROUP; ++g) {
            float sum = 0;
            for (int64_t i = 0; i < size; ++i) sum += q[g][i] * wide[i];
            scores[g * width + at] = sum;
        }
    });

    float share[GROUP];  // of a weight of 1
    for (int g = 0; g < GROUP; ++g) {
        float *weights = scores + g * width;
        const float peak = largest(weights, width);
        float total = 0;
        for (int64_t i = 0; i < width; ++i) {
            weights[i] = exp_negative(weights[i] - peak);
            total += weights[i];
        }
        share[g] = 1.0f / total;
    }

    float sums[GROUP][MAX] = {};
    values.each([&](const C *value, int64_t at) {
        float wide[MAX];
        for (int64_t i = 0; i < size; ++i) wide[i] = widen(value[i]);
        for (int g = 0; g < GROUP; ++g) {
            const float weight = scores[g * width + at];
            for (int64_t i = 0; i < size; ++i) sums[g][i] += weight * wide[i];
        }
    });

    T *out = static_cast<T *>(d.out) + (d.tokens[row] * d.num_heads + head) * size;
    for (int g = 0; g < GROUP; ++g)
        for (int64_t i = 0; i < size; ++i) narrow(sums[g][i] * share[g], out[g * size + i]);
}

template <typename T, typename C, int SIZE>
INLINE void attend_group(const Decode &d, int64_t row, int64_t kv_head, std::vector<float> &scratch) {
    const int64_t group = d.num_heads / d.num_kv_heads;
    const int64_t end = (kv_head + 1) * group;
    for (int64_t head = kv_head * group; head < end; head += MAX_GROUP) {
        switch (std::min<int64_t>(end - head, MAX_GROUP)) {
            case 1: attend<T, C, 1, SIZE>(d, row, head, scratch); break;
            case 2: attend<T, C, 2, SIZE>(d, row, head, scratch); break;
            case 3: attend<T, C, 3, SIZE>(d, row, head, scratch); break;
            default: attend<T, C, 4, SIZE>(d, row, head, scratch);
        }
    }
}

// Items are handed out one after the other, so that threads end together although rows differ in length.
struct Team {
    const Decode &d;
    std::atomic<int64_t> next{0};
};

template <typename T, typename C>
INLINE void run_items(Team &team) {
    const Decode &d = team.d;
    static thread_local std::vector<float> scratch;
    for (int64_t item; (item = team.next.fetch_add(1)) < d.num_rows * d.num_kv_heads;) {
        const int64_t row = d.rows[item / d.num_kv_heads], kv_head = item % d.num_kv_heads;
        switch (d.head_size) {
            case 64: attend_group<T, C, 64>(d, row, kv_head, scratch); break;
            case 128: attend_group<T, C, 128>(d, row, kv_head, scratch); break;
            default: attend_group<T, C, 0>(d, row, kv_head, scratch);
        }
    }
}

VECTOR_CLONES void work_bf16(Team *team) { run_items<BFloat16, BFloat16>(*team); }
VECTOR_CLONES void work_float(Team *team) { run_items<float, float>(*team); }
VECTOR_CLONES void work_bf16_float8(Team *team) { run_items<BFloat16, Float8>(*team); }
VECTOR_CLONES void work_float_float8(Team *team) { run_items<float, Float8>(*team); }

void work(void *data) {
    Team *team = static_cast<Team *>(data);
    if (team->d.is_float8)
        team->d.is_bf16 ? work_bf16_float8(team) : work_float_float8(team);
    else
        team->d.is_bf16 ? work_bf16(team) : work_float(team);
}

// GOMP_parallel of the OpenMP library that torch runs on: the same threads do both works. Threads of our own would
// fight with torch's, which spin for a while when they have nothing to do.
using Parallel = void (*)(void (*)(void *), void *, unsigned num_threads, unsigned flags);

}  // namespace

extern "C" {

int paged_decode_max_head_size() { return MAX_HEAD_SIZE; }

// One layer's attention. `parallel` may be null: one thread does all.
void paged_decode(const Decode *d, void *parallel) {
    Team team{*d};
    if (parallel && d->num_threads > 1)
        reinterpret_cast<Parallel>(parallel)(work, &team, unsigned(d->num_threads), 0);
    else
        work(&team);
}

}  // extern "C"
