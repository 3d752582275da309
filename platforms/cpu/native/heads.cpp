// The work between the q, k, v projection and attention: norms of heads, rotation (Su et al. 2021), and writing of keys
// and values into the paged cache.

#include "common.h"

using namespace jackfield;

// What Python passes. Strides count elements; those of head_size are 1.
struct Heads {
    const void *qkv;       // [tokens, num_heads + 2 * num_kv_heads, head_size]
    const void *cos, *sin;  // [tokens, rotary_size]; the sines carry the signs
    const int64_t *slots;  // [tokens], block * block_size + offset
    const float *weight;   // [num_heads + num_kv_heads, head_size]; null: no norm
    void *query;           // [tokens, num_heads, head_size], contiguous
    void *key, *value;     // [blocks, slots, kv heads, head_size]
    int64_t num_tokens, num_heads, num_kv_heads, head_size, rotary_size, block_size;
    int64_t qkv_stride, cos_stride, sin_stride;  // of a token
    int64_t block_stride, slot_stride, head_stride;
    int64_t value_block_stride, value_slot_stride, value_head_stride;
    int64_t interleaved;    // neighbours are pairs; else halves are
    int64_t is_bf16;        // all that is not named otherwise; else float32
    int64_t num_threads;
    double epsilon;
};

namespace {

constexpr int MAX_HEAD_SIZE = 512;

// One head from `x` to `out`. Rounds to T after the norm and after the rotation, as separate operations do.
template <typename T, bool INTERLEAVED>
INLINE void turn_head(const Heads &d, const T *x, const float *weight, const T *cos, const T *sin, T *out) {
    float wide[MAX_HEAD_SIZE];
    for (int64_t i = 0; i < d.head_size; ++i) wide[i] = widen(x[i]);
    if (weight) {
        float squares = 0;
        for (int64_t i = 0; i < d.head_size; ++i) squares += wide[i] * wide[i];
        const float scale = 1.0f / std::sqrt(squares / float(d.head_size) + float(d.epsilon));
        for (int64_t i = 0; i < d.head_size; ++i) wide[i] = rounded<T>(wide[i] * scale * weight[i]);
    }
    const int64_t half = d.rotary_size / 2;
    if (INTERLEAVED) {
        for (int64_t i = 0; i < half; ++i) {
            const float a = wide[2 * i], b = wide[2 * i + 1];
            narrow(a * widen(cos[2 * i]) + b * widen(sin[2 * i]), out[2 * i]);
            narrow(b * widen(cos[2 * i + 1]) + a * widen(sin[2 * i + 1]), out[2 * i + 1]);
        }
    } else {
        for (int64_t i = 0; i < half; ++i)
            narrow(wide[i] * widen(cos[i]) + wide[i + half] * widen(sin[i]), out[i]);
        for (int64_t i = half; i < 2 * half; ++i)
            narrow(wide[i] * widen(cos[i]) + wide[i - half] * widen(sin[i]), out[i]);
    }
    for (int64_t i = d.rotary_size; i < d.head_size; ++i) narrow(wide[i], out[i]);
}

template <typename T, bool INTERLEAVED>
INLINE void turn_tokens(const Heads &d, int64_t first, int64_t end) {
    const int64_t size = d.head_size, num_rotated = d.num_heads + d.num_kv_heads;
    for (int64_t token = first; token < end; ++token) {
        const T *x = static_cast<const T *>(d.qkv) + token * d.qkv_stride;
        const T *cos = static_cast<const T *>(d.cos) + token * d.cos_stride;
        const T *sin = static_cast<const T *>(d.sin) + token * d.sin_stride;
        const int64_t block = d.slots[token] / d.block_size, slot = d.slots[token] % d.block_size;
        T *query = static_cast<T *>(d.query) + token * d.num_heads * size;
        T *key = static_cast<T *>(d.key) + block * d.block_stride + slot * d.slot_stride;
        T *value = static_cast<T *>(d.value) + block * d.value_block_stride + slot * d.value_slot_stride;
        for (int64_t head = 0; head < num_rotated; ++head) {
            T *out = head < d.num_heads ? query + head * size : key + (head - d.num_heads) * d.head_stride;
            const float *weight = d.weight ? d.weight + head * size : nullptr;
            turn_head<T, INTERLEAVED>(d, x + head * size, weight, cos, sin, out);
        }
        for (int64_t head = 0; head < d.num_kv_heads; ++head)
            std::memcpy(value + head * d.value_head_stride, x + (num_rotated + head) * size, size_t(size) * sizeof(T));
    }
}

template <typename T>
INLINE void turn_any(const Heads &d, int64_t first, int64_t end) {
    d.interleaved ? turn_tokens<T, true>(d, first, end) : turn_tokens<T, false>(d, first, end);
}

VECTOR_CLONES void turn_bf16(const Heads &d, int64_t first, int64_t end) { turn_any<BFloat16>(d, first, end); }
VECTOR_CLONES void turn_float(const Heads &d, int64_t first, int64_t end) { turn_any<float>(d, first, end); }

constexpr int64_t WORTH = 1 << 15;  // elements

}  // namespace

extern "C" {

int jackfield_max_head_size() { return MAX_HEAD_SIZE; }

void jackfield_heads(const Heads *d, Parallel parallel) {
    const int64_t elements = d->num_tokens * (d->num_heads + 2 * d->num_kv_heads) * d->head_size;
    share_rows(parallel, d->num_threads, d->num_tokens, elements >= WORTH,
               [d](int64_t first, int64_t end) { (d->is_bf16 ? turn_bf16 : turn_float)(*d, first, end); });
}

}  // extern "C"
