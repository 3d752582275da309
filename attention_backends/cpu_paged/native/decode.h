// What the files of the kernel share: the argument, numbers of the cache, and the work on a piece of a row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define HAS_X86 1
#if __GNUC__ >= 12  // knows x86-64-v4
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTOR_CLONES
#endif
#else
#define HAS_X86 0
#define VECTOR_CLONES
#endif
#define INLINE __attribute__((always_inline)) inline  // into each clone, else it has none of the vectors

// What Python passes, one call for each layer. Strides count elements; those of head_size are 1.
struct Decode {
    const void *query;         // [tokens, heads, head_size], heads next to each other
    const void *key, *value;   // [blocks, slots, kv heads, head_size]
    void *out;                 // [tokens, heads, head_size], contiguous
    const int32_t *rows;       // [num_rows] of the step, to attend for, the longest first
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
    int64_t level;  // of paged::Level, at most what the processor has
    double scale;
};

namespace paged {

enum Level { PORTABLE = 0, VECTORS = 1 };  // any processor; AVX-512 with BF16 and VBMI

constexpr int MAX_HEAD_SIZE = 512;
constexpr int PADDING = 64;     // elements; buffers of heads are a multiple of it
constexpr int CACHE_LINE = 64;  // bytes
constexpr int RUN = 16;         // slots that are taken at once, at most

struct BFloat16 {
    uint16_t bits;  // the upper half of a float32
};
struct Float8 {
    uint8_t bits;  // E4M3 without infinities: 4 bits of exponent with bias 7, 3 of mantissa
};

// One key-value head, all query heads that share it, and tokens [first, last) of one row. All of a group's heads are taken
// together, so that a key is read once for them.
struct Work {
    const Decode &d;
    const int32_t *blocks;  // of the row
    int64_t kv_head, num_heads, first, last;
    const void *query;      // [num_heads, head_size]
    float *wide_query;      // [num_heads, padded], room for a copy in the form that a level wants
    float *scores;          // [num_heads, last - first], later the weights
    float *sums;            // [num_heads, padded], weighted sums of the values

    int64_t width() const { return last - first; }
    int64_t padded() const { return (d.head_size + PADDING - 1) / PADDING * PADDING; }
    template <typename C> const C *keys() const { return static_cast<const C *>(d.key) + kv_head * d.head_stride; }
    template <typename C> const C *values() const { return static_cast<const C *>(d.value) + kv_head * d.head_stride; }
};

// The slots of a piece of work in runs: slots of one block, which lie next to each other, at most RUN of them.
template <typename C>
class Runs {
   public:
    explicit Runs(const Work &work)
        : work(work), unit(std::gcd(work.d.block_size, int64_t(RUN))), origin(work.first / unit),
          count((work.last + unit - 1) / unit - origin) {}

    int64_t start(int64_t r) const { return std::max(work.first, (origin + r) * unit); }
    int64_t stop(int64_t r) const { return std::min(work.last, (origin + r + 1) * unit); }

    INLINE const C *at(const C *head, int64_t position) const {
        const Decode &d = work.d;
        const int64_t block = work.blocks[position / d.block_size];
        return head + block * d.block_stride + position % d.block_size * d.slot_stride;
    }

    // Blocks lie anywhere, which the processor cannot foresee. Run r of the keys is asked for ahead of time; those
    // after the last key are the runs of the values.
    INLINE void prefetch(int64_t r) const {
        const bool is_value = r >= count;
        if (is_value) r -= count;
        if (r >= count) return;
        const int64_t position = start(r), bytes = work.d.head_size * int64_t(sizeof(C));
        const C *slot = at(is_value ? work.values<C>() : work.keys<C>(), position);
        for (int64_t i = stop(r) - position; i > 0; --i, slot += work.d.slot_stride)
            for (int64_t byte = 0; byte < bytes; byte += CACHE_LINE)
                __builtin_prefetch(reinterpret_cast<const char *>(slot) + byte, 0, 2);
    }

    const Work &work;
    const int64_t unit, origin, count;
};

constexpr int64_t AHEAD = 3;  // runs between asking for memory and reading it

// The two passes over the cache.
using Pass = void (*)(const Work &);
struct Passes {
    Pass score;  // scores = query . key, without the scale
    Pass add;    // sums = weights * values
};

Passes portable_passes(const Decode &d);
#if HAS_X86
bool has_vectors();
Passes vector_passes(const Decode &d);
#endif

// Scores become weights exp(scale * (score - the largest)). Writes scale * the largest, and the sum of weights, by head.
void soften(const Work &work, float *peaks, float *totals);

// out = sums * shares, by head, in the dtype of outputs.
void write_out(const Decode &d, const float *sums, int64_t padded, const float *shares, int64_t num_heads, void *out);

}  // namespace paged
