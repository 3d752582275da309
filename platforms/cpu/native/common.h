// What all operations use: numbers in bfloat16, and threads.
//
// Plain C++: the loops over elements are what the compiler turns into vectors, once for every instruction set named at
// VECTOR_CLONES; the processor's is taken when the library is loaded.

#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12  // knows x86-64-v4
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VECTOR_CLONES
#endif
#define INLINE __attribute__((always_inline)) inline  // into each clone, else it has none of the vectors

namespace jackfield {

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

INLINE void narrow(float x, float &out) { out = x; }
INLINE uint32_t bfloat16_bits(float x) {  // to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return x == x ? rounded : 0x7fc0;
}
INLINE void narrow(float x, BFloat16 &out) { out.bits = uint16_t(bfloat16_bits(x)); }

template <typename T>
INLINE float rounded(float x) {  // as T holds it
    T held;
    narrow(x, held);
    return widen(held);
}

// GOMP_parallel of the OpenMP library that torch runs on: the same threads do both works. Threads of our own would
// fight with torch's, which spin for a while when they have nothing to do. Null: there is none.
using Parallel = void (*)(void (*)(void *), void *, unsigned num_threads, unsigned flags);

// Calls work(first, end) for parts of [0, num_rows) on several threads if all rows together are `worth` it: waking
// threads and waiting for them takes about as long as some ten thousand elements. `parts`: for each thread.
template <typename Work>
void share_rows(Parallel parallel, int64_t num_threads, int64_t num_rows, bool worth, const Work &work,
                int64_t parts = 2) {
    struct Team {
        const Work &work;
        int64_t num_rows, num_parts;
        std::atomic<int64_t> next{0};

        static void run(void *data) {
            Team &team = *static_cast<Team *>(data);
            for (int64_t part; (part = team.next.fetch_add(1)) < team.num_parts;)
                team.work(part * team.num_rows / team.num_parts, (part + 1) * team.num_rows / team.num_parts);
        }
    };
    if (!parallel || std::min(num_threads, num_rows) <= 1 || !worth) return work(0, num_rows);
    Team team{work, num_rows, std::min(num_rows, parts * num_threads)};
    // All threads, though some may find no part: GNU OpenMP ends those that a smaller team leaves out.
    parallel(Team::run, &team, unsigned(num_threads), 0);
}

}  // namespace jackfield
