// Products of activations with compact weights on processors. Plain C++: neither Python's nor torch's headers.
//
// y[m, o] = bias[o] + sum over groups g of  scale[o, g] * (sum over k in g of x[m, k] * table[code[o, k]])
//                                           - offset[o, g] * (sum over k in g of x[m, k])
//
// Weights lie in blocks of 32 outputs. A piece of a block is decoded into a panel that stays in the first-level cache;
// all rows are multiplied with it before the next piece. The order of codes is that of jackfield_compact/packing.py.
// This file holds what Python calls: which way is taken, inputs in the order of the weights, and the threads.

#include "multiply.h"

#if HAS_X86
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

using namespace compact;

namespace {

bool has_vectors() {
#if HAS_X86
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

// AMX with BF16 and INT8. Linux gives its registers to a process that asks.
bool has_tiles() {
#if HAS_X86 && defined(__linux__)
    unsigned a, b, c, d;
    if (!has_vectors() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned needed = 1u << 22 | 1u << 24 | 1u << 25;  // amx_bf16, amx_tile, amx_int8
    constexpr long REQUEST = 0x1023, TILE_DATA = 18;         // ARCH_REQ_XCOMP_PERM
    return (d & needed) == needed && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
    return false;
#endif
}

// Rows from which panels of scaled weights are faster than sums of groups; measured with the shapes of SmolLM2-135M.
constexpr int64_t DENSE_ROWS = 16, TILE_MIN_ROWS = 6;
constexpr int64_t TILE_INPUTS = 32, TILE_HEIGHT = 16;

// Inputs in the order of K; those that are in order already are used where they lie. Rows and inputs beyond are zero.
void arrange(const Multiply &d, bool is_narrow, bool by_tiles, Inputs &in) {
    const uint16_t *narrow = static_cast<const uint16_t *>(d.x);
    const float *wide = static_cast<const float *>(d.x);
    const bool fits = !by_tiles || (d.num_padded % TILE_INPUTS == 0 && d.num_rows >= TILE_HEIGHT);
    if (!d.order && bool(d.is_bf16) == is_narrow && fits) {
        in.stride = d.x_stride;
        in.x16 = narrow;
        in.x32 = wide;
    } else {
        in.stride = by_tiles ? (d.num_padded + TILE_INPUTS - 1) / TILE_INPUTS * TILE_INPUTS : d.num_padded;
        const int64_t rows = by_tiles ? std::max(d.num_rows, TILE_HEIGHT) : d.num_rows;
        if (is_narrow) in.narrow.assign(size_t(rows * in.stride), 0);
        else in.wide.assign(size_t(rows * in.stride), 0.0f);
        for (int64_t m = 0; m < d.num_rows; ++m)
            for (int64_t k = 0; k < d.num_padded; ++k) {
                const int64_t from = d.order ? d.order[k] : k, at = m * in.stride + k;
                const int64_t place = m * d.x_stride + from;
                if (from < 0) continue;
                if (is_narrow) in.narrow[at] = narrow[place];
                else in.wide[at] = d.is_bf16 ? from_bf16(narrow[place]) : wide[place];
            }
        in.x16 = in.narrow.data();
        in.x32 = in.wide.data();
    }
}

void sum_groups(const Multiply &d, Inputs &in) {
    in.sums.resize(size_t(d.num_rows * d.num_groups));
    for (int64_t m = 0; m < d.num_rows; ++m)
        for (int64_t g = 0; g < d.num_groups; ++g) {
            float sum = 0;
            for (int64_t k = d.starts[g]; k < d.starts[g + 1]; ++k)
                sum += in.x32[m * in.stride + k];
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

// What the processor has: of Level.
int compact_level() { return has_tiles() ? TILES : has_vectors() ? VECTORS : PORTABLE; }

// `parallel` may be null: one thread does all.
void compact_multiply(const Multiply *d, void *parallel) {
    static thread_local Inputs in;
    const bool is_narrow = d->is_bf16 && d->level >= VECTORS;
    const bool by_tiles = is_narrow && d->level == TILES && d->num_rows >= TILE_MIN_ROWS;
    const bool is_dense = by_tiles || (is_narrow && d->num_rows >= DENSE_ROWS);
    arrange(*d, is_narrow, by_tiles, in);
    Team team{*d, in};
#if HAS_X86
    if (d->offsets && is_narrow && !is_dense) sum_groups_16(*d, in);
    if (by_tiles) return run(*d, parallel, work_tiles, team);
    if (is_dense) return run(*d, parallel, work_dense, team);
    if (is_narrow) return run(*d, parallel, work_vectors, team);
#endif
    if (d->offsets) sum_groups(*d, in);
    run(*d, parallel, work_portable, team);
}

// The same with inputs rounded to eight bits; of level VECTORS at least.
void compact_multiply_whole(const Multiply *d, void *parallel) {
#if HAS_X86
    static thread_local Rounded in;
    const bool by_tiles = d->level == TILES && d->num_rows >= TILE_MIN_ROWS;
    round_rows(*d, in, by_tiles ? TILE_HEIGHT : 0);
    WholeTeam team{*d, in};
    run(*d, parallel, by_tiles ? work_whole_tiles : work_whole, team);
#else
    (void)d, (void)parallel;
#endif
}

}  // extern "C"
