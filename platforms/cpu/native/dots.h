// Dot products of some inputs with four rows of a matrix. Each row is read once for all inputs.

#pragma once

#include "common.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#define HAS_PAIRS 1
#include <immintrin.h>
#else
#define HAS_PAIRS 0
#endif

namespace jackfield {

constexpr int ROWS = 4;    // of the matrix, at once
constexpr int INPUTS = 4;  // at once: the sums stay in registers

// sums[input, row] of `count` inputs. Of a matrix, the four rows that follow are asked for too.
template <typename T>
using Dots = void (*)(const T *const *inputs, int64_t count, const T *const *rows, int64_t size, float *sums);

// 16 elements, in as many registers as the processor needs for them.
typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
constexpr int64_t WIDTH = 16;

INLINE void load(const float *x, Floats &found) { std::memcpy(&found, x, sizeof found); }
INLINE void load(const BFloat16 *x, Floats &found) {
    Halves halves;
    std::memcpy(&halves, x, sizeof halves);
    found = (Floats)(__builtin_convertvector(halves, Words) << 16);
}

template <typename T, int COUNT>
INLINE void dots_of(const T *const *inputs, const T *const *rows, int64_t size, float *sums) {
    Floats totals[COUNT][ROWS] = {};
    int64_t at = 0;
    for (; at + WIDTH <= size; at += WIDTH) {
        Floats weights[ROWS];
        for (int row = 0; row < ROWS; ++row) {
            load(rows[row] + at, weights[row]);
            __builtin_prefetch(rows[row] + at + 2 * size, 0, 2);
        }
        for (int input = 0; input < COUNT; ++input) {
            Floats x;
            load(inputs[input] + at, x);
            for (int row = 0; row < ROWS; ++row) totals[input][row] += x * weights[row];
        }
    }
    for (int input = 0; input < COUNT; ++input) {
        for (int row = 0; row < ROWS; ++row) {
            float total = 0;
            for (int i = 0; i < WIDTH; ++i) total += totals[input][row][i];
            for (int64_t i = at; i < size; ++i) total += widen(inputs[input][i]) * widen(rows[row][i]);
            sums[input * ROWS + row] = total;
        }
    }
}

template <typename T>
INLINE void dots(const T *const *inputs, int64_t count, const T *const *rows, int64_t size, float *sums) {
    switch (count) {
        case 1: return dots_of<T, 1>(inputs, rows, size, sums);
        case 2: return dots_of<T, 2>(inputs, rows, size, sums);
        case 3: return dots_of<T, 3>(inputs, rows, size, sums);
        default: return dots_of<T, 4>(inputs, rows, size, sums);
    }
}

VECTOR_CLONES inline void dots_float(
    const float *const *inputs, int64_t count, const float *const *rows, int64_t size, float *sums) {
    dots<float>(inputs, count, rows, size, sums);
}
VECTOR_CLONES inline void dots_widened(
    const BFloat16 *const *inputs, int64_t count, const BFloat16 *const *rows, int64_t size, float *sums) {
    dots<BFloat16>(inputs, count, rows, size, sums);
}

#if HAS_PAIRS

#define WITH_PAIRS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

inline bool has_wide_vectors() { return __builtin_cpu_supports("avx512f"); }
inline bool has_pairs() { return __builtin_cpu_supports("avx512bf16"); }

// The processor multiplies pairs of bfloat16 and adds them in float32.
template <int COUNT>
WITH_PAIRS INLINE void pairs_of(const BFloat16 *const *inputs, const BFloat16 *const *rows, int64_t size, float *sums) {
    __m512 totals[COUNT][ROWS];
    for (int input = 0; input < COUNT; ++input)
        for (int row = 0; row < ROWS; ++row) totals[input][row] = _mm512_setzero_ps();
    constexpr int64_t STEP = 32;
    for (int64_t at = 0; at < size; at += STEP) {
        const int64_t left = size - at;
        const __mmask32 mask = left >= STEP ? ~0u : (1u << left) - 1;
        __m512bh weights[ROWS];
        for (int row = 0; row < ROWS; ++row) {
            weights[row] = (__m512bh)_mm512_maskz_loadu_epi16(mask, rows[row] + at);
            _mm_prefetch(reinterpret_cast<const char *>(rows[row] + at + 2 * size), _MM_HINT_T1);
        }
        for (int input = 0; input < COUNT; ++input) {
            const __m512bh x = (__m512bh)_mm512_maskz_loadu_epi16(mask, inputs[input] + at);
            for (int row = 0; row < ROWS; ++row)
                totals[input][row] = _mm512_dpbf16_ps(totals[input][row], x, weights[row]);
        }
    }
    for (int input = 0; input < COUNT; ++input) {
        for (int row = 0; row < ROWS; ++row) {
            float lanes[WIDTH], total = 0;
            _mm512_storeu_ps(lanes, totals[input][row]);
            for (int i = 0; i < WIDTH; ++i) total += lanes[i];
            sums[input * ROWS + row] = total;
        }
    }
}

WITH_PAIRS inline void dots_pairs(
    const BFloat16 *const *inputs, int64_t count, const BFloat16 *const *rows, int64_t size, float *sums) {
    switch (count) {
        case 1: return pairs_of<1>(inputs, rows, size, sums);
        case 2: return pairs_of<2>(inputs, rows, size, sums);
        case 3: return pairs_of<3>(inputs, rows, size, sums);
        default: return pairs_of<4>(inputs, rows, size, sums);
    }
}

#else

inline bool has_wide_vectors() { return false; }
inline bool has_pairs() { return false; }
constexpr Dots<BFloat16> dots_pairs = dots_widened;

#endif

}  // namespace jackfield
