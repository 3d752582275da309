// The sum of a residual stream and a branch, and the RMS norm of that (Zhang and Sennrich 2019), in one pass.

#include "common.h"

using namespace jackfield;

// What Python passes. Rows lie next to each other.
struct Norm {
    void *x;              // [rows, size], to which `branch` is added
    const void *branch;   // [rows, size]; null: nothing is added
    const float *weight;  // [size]
    void *out;            // [rows, size]
    int64_t num_rows, size;
    int64_t is_bf16;  // x, branch and out; else float32
    int64_t num_threads;
    double epsilon;
};

namespace {

template <typename T>
INLINE void norm_rows(const Norm &d, int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
        T *x = static_cast<T *>(d.x) + row * d.size;
        T *out = static_cast<T *>(d.out) + row * d.size;
        float squares = 0;
        if (d.branch) {
            const T *branch = static_cast<const T *>(d.branch) + row * d.size;
            for (int64_t i = 0; i < d.size; ++i) {
                const float sum = rounded<T>(widen(x[i]) + widen(branch[i]));
                narrow(sum, x[i]);
                squares += sum * sum;
            }
        } else {
            for (int64_t i = 0; i < d.size; ++i) squares += widen(x[i]) * widen(x[i]);
        }
        const float scale = 1.0f / std::sqrt(squares / float(d.size) + float(d.epsilon));
        for (int64_t i = 0; i < d.size; ++i) narrow(widen(x[i]) * scale * d.weight[i], out[i]);
    }
}

VECTOR_CLONES void norm_bf16(const Norm &d, int64_t first, int64_t end) { norm_rows<BFloat16>(d, first, end); }
VECTOR_CLONES void norm_float(const Norm &d, int64_t first, int64_t end) { norm_rows<float>(d, first, end); }

constexpr int64_t WORTH = 1 << 16;  // elements

}  // namespace

extern "C" void jackfield_add_rms_norm(const Norm *d, Parallel parallel) {
    share_rows(parallel, d->num_threads, d->num_rows, d->num_rows * d->size >= WORTH,
               [d](int64_t first, int64_t end) { (d->is_bf16 ? norm_bf16 : norm_float)(*d, first, end); });
}
