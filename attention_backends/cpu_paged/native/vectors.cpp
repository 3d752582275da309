// Queries in bfloat16 with AVX-512 BF16. Products of two bfloat16 are exact in float32, and sums are float32 as everywhere;
// numbers below 2^-126 count as zero. Weights stay float32. A cache in float8 is widened to bfloat16, which is exact.

#include "decode.h"

#if HAS_X86

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16")))
#define UNROLL _Pragma("GCC unroll 16")  // arrays of registers exist only where the loops over them are gone

namespace paged {

namespace {

constexpr int LANES = 16;  // float32 in a register
constexpr int PAIRED = 32;  // bfloat16 in a register

// The sixteen sums of sixteen registers, in order: each step adds halves and packs two registers into one.
AVX512 INLINE __m512 sum_each(const __m512 *x) {
    __m512 a[8], b[4], c[2];
    UNROLL for (int i = 0; i < 8; ++i)
        a[i] = _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]) + _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    UNROLL for (int i = 0; i < 4; ++i) {
        const __m512d even = _mm512_castps_pd(a[2 * i]), odd = _mm512_castps_pd(a[2 * i + 1]);
        b[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(even, odd)) + _mm512_castpd_ps(_mm512_unpackhi_pd(even, odd));
    }
    UNROLL for (int i = 0; i < 2; ++i)
        c[i] = _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0x44) + _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0xee);
    return _mm512_shuffle_f32x4(c[0], c[1], 0x88) + _mm512_shuffle_f32x4(c[0], c[1], 0xdd);
}

// Bytes of E4M3 become bfloat16 by tables of the 128 numbers without their sign.
class Float8Table {
   public:
    AVX512 Float8Table() {
        for (int code = 0; code < 128; ++code) {
            // The mantissa moves, the bias changes from 7 to 127. Codes below 8 are multiples of 2^-9.
            const float small = float(code) * 0x1p-9f;
            uint32_t small_bits;
            std::memcpy(&small_bits, &small, sizeof small_bits);
            const uint32_t bits = code == 0x7f ? 0x7fc0 : code < 8 ? small_bits >> 16 : (code << 4) + ((127 - 7) << 7);
            low[code] = uint8_t(bits);
            high[code] = uint8_t(bits >> 8);
        }
    }

    // Writes 64 elements.
    AVX512 INLINE void widen(__m512i codes, uint16_t *out) const {
        // So that the halves of each quarter, which unpacking takes, become neighbours.
        codes = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
        const __m512i signs = _mm512_and_si512(codes, _mm512_set1_epi8(char(0x80)));
        const __m512i lower = look_up(low, codes), upper = _mm512_or_si512(look_up(high, codes), signs);
        _mm512_storeu_si512(out, _mm512_unpacklo_epi8(lower, upper));
        _mm512_storeu_si512(out + PAIRED, _mm512_unpackhi_epi8(lower, upper));
    }

   private:
    AVX512 INLINE static __m512i look_up(const uint8_t *table, __m512i codes) {  // looks at seven bits
        return _mm512_permutex2var_epi8(_mm512_load_si512(table), codes, _mm512_load_si512(table + 64));
    }

    alignas(64) uint8_t low[128], high[128];
};

const Float8Table &float8_table() {
    static const Float8Table table;
    return table;
}

// A run of slots in bfloat16, each of whole registers.
struct Slots {
    const uint16_t *x;
    int64_t stride, count;
};

struct Buffer {
    alignas(64) uint16_t x[RUN * MAX_HEAD_SIZE];
};

AVX512 INLINE Slots in_bf16(const Work &work, const BFloat16 *x, int64_t count, Buffer &buffer) {
    const uint16_t *from = &x->bits;
    const int64_t size = work.d.head_size, stride = work.padded();
    if (size % PAIRED == 0) return {from, work.d.slot_stride, count};
    for (int64_t s = 0; s < count; ++s, from += work.d.slot_stride)
        for (int64_t i = 0; i < size; i += PAIRED) {
            const __mmask32 mask = size - i < PAIRED ? (1u << (size - i)) - 1 : ~0u;
            _mm512_store_si512(buffer.x + s * stride + i, _mm512_maskz_loadu_epi16(mask, from + i));
        }
    return {buffer.x, stride, count};
}

AVX512 INLINE Slots in_bf16(const Work &work, const Float8 *x, int64_t count, Buffer &buffer) {
    const Float8Table &table = float8_table();
    const int64_t size = work.d.head_size, stride = work.padded();
    for (int64_t s = 0; s < count; ++s, x += work.d.slot_stride)
        for (int64_t i = 0; i < size; i += PADDING) {
            const __mmask64 mask = size - i < PADDING ? (uint64_t(1) << (size - i)) - 1 : ~uint64_t(0);
            table.widen(_mm512_maskz_loadu_epi8(mask, x + i), buffer.x + s * stride + i);
        }
    return {buffer.x, stride, count};
}

// Scores of one head. VECTORS: registers of a head where they are known to the compiler, else 0.
template <int VECTORS>
AVX512 INLINE void score_head(const uint16_t *query, const Slots &slots, int64_t vectors, float *scores) {
    const int64_t end = VECTORS ? VECTORS : vectors;
    __m512 sums[RUN];
    UNROLL for (int s = 0; s < RUN; ++s) {
        const uint16_t *key = slots.x + (s < slots.count ? s : 0) * slots.stride;  // what is too much is not stored
        sums[s] = _mm512_setzero_ps();
        for (int64_t v = 0; v < end; ++v)
            sums[s] = _mm512_dpbf16_ps(sums[s], (__m512bh)_mm512_load_si512(query + v * PAIRED),
                                       (__m512bh)_mm512_loadu_si512(key + v * PAIRED));
    }
    _mm512_mask_storeu_ps(scores, __mmask16((1u << slots.count) - 1), sum_each(sums));
}

template <typename C>
AVX512 INLINE void score(const Work &work) {
    const int64_t size = work.d.head_size, padded = work.padded(), vectors = (size + PAIRED - 1) / PAIRED;
    uint16_t *query = reinterpret_cast<uint16_t *>(work.wide_query);
    std::fill_n(query, work.num_heads * padded, uint16_t(0));
    for (int64_t h = 0; h < work.num_heads; ++h)
        std::memcpy(query + h * padded, static_cast<const uint16_t *>(work.query) + h * size, size_t(size) * 2);
    const Runs<C> runs(work);
    Buffer buffer;
    for (int64_t r = 0; r < AHEAD; ++r) runs.prefetch(r);
    for (int64_t r = 0; r < runs.count; ++r) {
        runs.prefetch(r + AHEAD);
        const int64_t start = runs.start(r);
        const Slots slots = in_bf16(work, runs.at(work.keys<C>(), start), runs.stop(r) - start, buffer);
        float *scores = work.scores + start - work.first;
        for (int64_t h = 0; h < work.num_heads; ++h, scores += work.width()) {
            const uint16_t *q = query + h * padded;
            switch (vectors) {
                case 2: score_head<2>(q, slots, vectors, scores); break;
                case 4: score_head<4>(q, slots, vectors, scores); break;
                default: score_head<0>(q, slots, vectors, scores);
            }
        }
    }
}

constexpr int MAX_GROUP = 4;  // heads whose sums stay in registers

// Adds VECTORS registers of each slot to the sums of HEADS heads. A register holds elements that become two of float32:
// the even ones and the odd ones.
template <int HEADS, int VECTORS>
AVX512 INLINE void add_part(const uint16_t *x, const Slots &slots, const float *weights, int64_t width, float *sums, int64_t padded) {
    __m512 kept[HEADS][VECTORS][2];
    UNROLL for (int h = 0; h < HEADS; ++h)
        UNROLL for (int v = 0; v < VECTORS * 2; ++v)
            kept[h][v / 2][v % 2] = _mm512_load_ps(sums + h * padded + v * LANES);
    for (int64_t s = 0; s < slots.count; ++s, x += slots.stride) {
        __m512 wide[VECTORS][2];
        UNROLL for (int v = 0; v < VECTORS; ++v) {
            const __m512i pairs = _mm512_loadu_si512(x + v * PAIRED);
            wide[v][0] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
            wide[v][1] = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(int(0xffff0000))));
        }
        UNROLL for (int h = 0; h < HEADS; ++h) {
            const __m512 weight = _mm512_set1_ps(weights[h * width + s]);
            UNROLL for (int v = 0; v < VECTORS * 2; ++v)
                kept[h][v / 2][v % 2] = _mm512_fmadd_ps(weight, wide[v / 2][v % 2], kept[h][v / 2][v % 2]);
        }
    }
    UNROLL for (int h = 0; h < HEADS; ++h)
        UNROLL for (int v = 0; v < VECTORS * 2; ++v)
            _mm512_store_ps(sums + h * padded + v * LANES, kept[h][v / 2][v % 2]);
}

template <int HEADS>
AVX512 INLINE void add_run(const Work &work, const Slots &slots, const float *weights, float *sums) {
    const int64_t size = work.d.head_size, padded = work.padded(), width = work.width();
    int64_t i = 0;
    for (; i + PAIRED < size; i += 2 * PAIRED)
        add_part<HEADS, 2>(slots.x + i, slots, weights, width, sums + i, padded);
    if (i < size) add_part<HEADS, 1>(slots.x + i, slots, weights, width, sums + i, padded);
}

// Even and odd elements return to their order.
AVX512 INLINE void untangle(float *sums, int64_t count) {
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    for (int64_t i = 0; i < count; i += 2 * LANES) {
        const __m512 even = _mm512_load_ps(sums + i), odd = _mm512_load_ps(sums + i + LANES);
        _mm512_store_ps(sums + i, _mm512_permutex2var_ps(even, first, odd));
        _mm512_store_ps(sums + i + LANES, _mm512_permutex2var_ps(even, second, odd));
    }
}

template <typename C>
AVX512 INLINE void add(const Work &work) {
    const int64_t padded = work.padded();
    std::fill_n(work.sums, work.num_heads * padded, 0.0f);
    const Runs<C> runs(work);
    Buffer buffer;
    for (int64_t r = 0; r < runs.count; ++r) {
        runs.prefetch(runs.count + r + AHEAD);
        const int64_t start = runs.start(r);
        const Slots slots = in_bf16(work, runs.at(work.values<C>(), start), runs.stop(r) - start, buffer);
        for (int64_t h = 0; h < work.num_heads; h += MAX_GROUP) {
            const float *weights = work.scores + h * work.width() + start - work.first;
            float *sums = work.sums + h * padded;
            switch (std::min<int64_t>(work.num_heads - h, MAX_GROUP)) {
                case 1: add_run<1>(work, slots, weights, sums); break;
                case 2: add_run<2>(work, slots, weights, sums); break;
                case 3: add_run<3>(work, slots, weights, sums); break;
                default: add_run<4>(work, slots, weights, sums);
            }
        }
    }
    untangle(work.sums, work.num_heads * padded);
}

AVX512 void score_bf16(const Work &work) { score<BFloat16>(work); }
AVX512 void score_float8(const Work &work) { score<Float8>(work); }
AVX512 void add_bf16(const Work &work) { add<BFloat16>(work); }
AVX512 void add_float8(const Work &work) { add<Float8>(work); }

}  // namespace

bool has_vectors() {
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

Passes vector_passes(const Decode &d) {
    return d.is_float8 ? Passes{score_float8, add_float8} : Passes{score_bf16, add_bf16};
}

}  // namespace paged

#endif
