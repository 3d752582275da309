// Any processor. Plain C++: the loops over elements are what the compiler turns into vectors, once for every instruction
// set named at VECTOR_CLONES; the processor's is taken when the library is loaded.

#include "decode.h"

namespace paged {

namespace {

constexpr int MAX_GROUP = 4;  // heads whose sums stay in registers

INLINE float widen(float x) { return x; }
INLINE float widen(BFloat16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}
// Micikevicius et al. 2022. Numbers below 2^-6 are counted in steps of 2^-9 instead of being made by their bits: a
// denormal float32 would cost the processor a trap.
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

// Scores of GROUP heads for one run of keys. SIZE: the head size where it is known to the compiler, else 0.
template <typename C, int GROUP, int SIZE>
INLINE void score_run(const Work &work, const C *key, int64_t count, const float *query, float *scores) {
    constexpr int MAX = SIZE ? SIZE : MAX_HEAD_SIZE;
    const int64_t size = SIZE ? SIZE : work.d.head_size, padded = work.padded(), width = work.width();
    for (int64_t s = 0; s < count; ++s, key += work.d.slot_stride) {
        float wide[MAX];
        for (int64_t i = 0; i < size; ++i) wide[i] = widen(key[i]);
        for (int g = 0; g < GROUP; ++g) {
            float sum = 0;
            for (int64_t i = 0; i < size; ++i) sum += query[g * padded + i] * wide[i];
            scores[g * width + s] = sum;
        }
    }
}

// Adds one run of values to the sums of GROUP heads.
template <typename C, int GROUP, int SIZE>
INLINE void add_run(const Work &work, const C *value, int64_t count, const float *weights, float *sums) {
    constexpr int MAX = SIZE ? SIZE : MAX_HEAD_SIZE;
    const int64_t size = SIZE ? SIZE : work.d.head_size, padded = work.padded(), width = work.width();
    float kept[GROUP][MAX];  // in registers
    for (int g = 0; g < GROUP; ++g)
        for (int64_t i = 0; i < size; ++i) kept[g][i] = sums[g * padded + i];
    for (int64_t s = 0; s < count; ++s, value += work.d.slot_stride) {
        float wide[MAX];
        for (int64_t i = 0; i < size; ++i) wide[i] = widen(value[i]);
        for (int g = 0; g < GROUP; ++g)
            for (int64_t i = 0; i < size; ++i) kept[g][i] += weights[g * width + s] * wide[i];
    }
    for (int g = 0; g < GROUP; ++g)
        for (int64_t i = 0; i < size; ++i) sums[g * padded + i] = kept[g][i];
}

// visit(GROUP as a constant, first head) until all heads are done.
#define FOR_GROUPS(num_heads, head, CALL)                                    \
    for (int64_t head = 0; head < (num_heads); head += MAX_GROUP)            \
        switch (std::min<int64_t>((num_heads) - head, MAX_GROUP)) {          \
            case 1: CALL(1); break;                                          \
            case 2: CALL(2); break;                                          \
            case 3: CALL(3); break;                                          \
            default: CALL(4);                                                \
        }

template <typename T, typename C, int SIZE>
INLINE void score_sized(const Work &work) {
    const T *query = static_cast<const T *>(work.query);
    const int64_t size = work.d.head_size, padded = work.padded();
    for (int64_t h = 0; h < work.num_heads; ++h)
        for (int64_t i = 0; i < size; ++i) work.wide_query[h * padded + i] = widen(query[h * size + i]);
    const Runs<C> runs(work);
    for (int64_t r = 0; r < AHEAD; ++r) runs.prefetch(r);
    for (int64_t r = 0; r < runs.count; ++r) {
        runs.prefetch(r + AHEAD);
        const int64_t start = runs.start(r), count = runs.stop(r) - start;
        const C *key = runs.at(work.keys<C>(), start);
#define SCORE(GROUP)                                                                  \
    score_run<C, GROUP, SIZE>(work, key, count, work.wide_query + head * padded,      \
                              work.scores + head * work.width() + start - work.first)
        FOR_GROUPS(work.num_heads, head, SCORE)
    }
}

template <typename C, int SIZE>
INLINE void add_sized(const Work &work) {
    const int64_t padded = work.padded();
    std::fill_n(work.sums, work.num_heads * padded, 0.0f);
    const Runs<C> runs(work);
    for (int64_t r = 0; r < runs.count; ++r) {
        runs.prefetch(runs.count + r + AHEAD);
        const int64_t start = runs.start(r), count = runs.stop(r) - start;
        const C *value = runs.at(work.values<C>(), start);
#define ADD(GROUP)                                                                                            \
    add_run<C, GROUP, SIZE>(work, value, count, work.scores + head * work.width() + start - work.first,       \
                            work.sums + head * padded)
        FOR_GROUPS(work.num_heads, head, ADD)
    }
}

template <typename T, typename C>
INLINE void score(const Work &work) {
    switch (work.d.head_size) {
        case 64: return score_sized<T, C, 64>(work);
        case 128: return score_sized<T, C, 128>(work);
        default: return score_sized<T, C, 0>(work);
    }
}

template <typename C>
INLINE void add(const Work &work) {
    switch (work.d.head_size) {
        case 64: return add_sized<C, 64>(work);
        case 128: return add_sized<C, 128>(work);
        default: return add_sized<C, 0>(work);
    }
}

VECTOR_CLONES void score_bf16(const Work &work) { score<BFloat16, BFloat16>(work); }
VECTOR_CLONES void score_float(const Work &work) { score<float, float>(work); }
VECTOR_CLONES void score_bf16_float8(const Work &work) { score<BFloat16, Float8>(work); }
VECTOR_CLONES void score_float_float8(const Work &work) { score<float, Float8>(work); }
VECTOR_CLONES void add_bf16(const Work &work) { add<BFloat16>(work); }
VECTOR_CLONES void add_float(const Work &work) { add<float>(work); }
VECTOR_CLONES void add_float8(const Work &work) { add<Float8>(work); }

template <typename T>
INLINE void write_as(const Decode &d, const float *sums, int64_t padded, const float *shares, int64_t num_heads, T *out) {
    for (int64_t h = 0; h < num_heads; ++h)
        for (int64_t i = 0; i < d.head_size; ++i) narrow(sums[h * padded + i] * shares[h], out[h * d.head_size + i]);
}

}  // namespace

Passes portable_passes(const Decode &d) {
    if (d.is_float8) return {d.is_bf16 ? score_bf16_float8 : score_float_float8, add_float8};
    return d.is_bf16 ? Passes{score_bf16, add_bf16} : Passes{score_float, add_float};
}

VECTOR_CLONES void soften(const Work &work, float *peaks, float *totals) {
    const float scale = float(work.d.scale);
    for (int64_t h = 0; h < work.num_heads; ++h) {
        float *weights = work.scores + h * work.width();
        const float peak = largest(weights, work.width());
        float total = 0;
        for (int64_t i = 0; i < work.width(); ++i) {
            weights[i] = exp_negative((weights[i] - peak) * scale);
            total += weights[i];
        }
        peaks[h] = peak * scale;
        totals[h] = total;
    }
}

VECTOR_CLONES void write_out(const Decode &d, const float *sums, int64_t padded, const float *shares, int64_t num_heads, void *out) {
    if (d.is_bf16) write_as(d, sums, padded, shares, num_heads, static_cast<BFloat16 *>(out));
    else write_as(d, sums, padded, shares, num_heads, static_cast<float *>(out));
}

}  // namespace paged
