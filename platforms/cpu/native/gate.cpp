// activation(gate) * up, where gate and up stand side by side.

#include "activation.h"
#include "common.h"

using namespace jackfield;

// What Python passes. Rows lie next to each other.
struct Gate {
    const void *x;  // [rows, 2 * size]
    void *out;      // [rows, size]
    int64_t num_rows, size;
    int64_t activation;  // of Activation
    int64_t is_bf16;     // x and out; else float32
    int64_t num_threads;
};

namespace {

template <typename T, int KIND>
INLINE void gate_rows(const Gate &d, int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
        const T *gate = static_cast<const T *>(d.x) + row * 2 * d.size;
        const T *up = gate + d.size;
        T *out = static_cast<T *>(d.out) + row * d.size;
        for (int64_t i = 0; i < d.size; ++i) narrow(activate<KIND>(widen(gate[i])) * widen(up[i]), out[i]);
    }
}

template <typename T>
INLINE void gate_any(const Gate &d, int64_t first, int64_t end) {
    switch (d.activation) {
        case SILU: return gate_rows<T, SILU>(d, first, end);
        case GELU_TANH: return gate_rows<T, GELU_TANH>(d, first, end);
        case GELU_SIGMOID: return gate_rows<T, GELU_SIGMOID>(d, first, end);
        case RELU: return gate_rows<T, RELU>(d, first, end);
        default: return gate_rows<T, RELU_SQUARED>(d, first, end);
    }
}

VECTOR_CLONES void gate_bf16(const Gate &d, int64_t first, int64_t end) { gate_any<BFloat16>(d, first, end); }
VECTOR_CLONES void gate_float(const Gate &d, int64_t first, int64_t end) { gate_any<float>(d, first, end); }

constexpr int64_t WORTH = 1 << 15;  // elements

}  // namespace

extern "C" void jackfield_gate(const Gate *d, Parallel parallel) {
    share_rows(parallel, d->num_threads, d->num_rows, d->num_rows * d->size >= WORTH,
               [d](int64_t first, int64_t end) { (d->is_bf16 ? gate_bf16 : gate_float)(*d, first, end); });
}
