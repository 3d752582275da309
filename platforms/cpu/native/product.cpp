// A product of few tokens and what stands around it in a layer: RMS norm of the input, bias, the gate, and the sum with
// the residual stream.
//
// Weights are read where oneDNN has packed them for prompts: panels of 32 outputs, in each of them pairs of inputs, in each
// of those 32 outputs: [outputs / 32, size / 2, 32, 2]. Both vectors and the matrix unit read this order without a
// change. The time of few tokens is that of reading weights, so each panel is read once, in the order of memory; threads
// share out panels.

#include "activation.h"
#include "common.h"
#include "dots.h"
#include "expert_tiles.h"

using namespace jackfield;

// What Python passes. Rows of y lie next to each other. All numbers but `norm` are bfloat16.
struct Product {
    const void *x;       // [tokens, size], rows are x_stride apart
    const float *norm;   // [size], the weight of the RMS norm; null: no norm
    const void *weight;  // panels
    const void *bias;    // [outputs]; null: none
    void *y;             // [tokens, outputs], with a gate [tokens, outputs / 2]
    void *scratch;       // as many bytes as jackfield_product_bytes says
    int64_t num_tokens;  // at most jackfield_product_most_tokens
    int64_t size, num_outputs, x_stride;
    int64_t activation;  // of Activation: joins the first half of the outputs and the second; -1: none
    int64_t adds;        // whether the outputs are added to y
    int64_t num_threads;
    double epsilon;
};

namespace {

constexpr int64_t ALIGNED = 64;  // bytes
constexpr int64_t PANEL = 32;    // outputs
constexpr int64_t LINE = 2 * PANEL;  // numbers of a panel for a pair of inputs
constexpr int64_t GROUPS = PANEL / LANES;
constexpr int64_t MOST = 64;     // tokens; from there on oneDNN is as fast
constexpr int64_t MOST_VECTORS = 1;  // tokens up to which vectors are faster than the matrix unit
constexpr int64_t TOGETHER = 4;  // tokens whose sums stay in registers
constexpr int64_t AHEAD = 4096;  // bytes of weights that are asked for ahead
constexpr int64_t PARTS = 4;     // for each thread: threads differ in their speed
constexpr int64_t WORTH = 1 << 17;  // weights from which on threads share them out

using Sums = float[MOST][PANEL];

int64_t aligned(int64_t bytes) { return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED; }
int64_t outputs_of_y(const Product &d) { return d.activation < 0 ? d.num_outputs : d.num_outputs / 2; }

bool has_tiles() {
    static const bool may = may_use_tiles();
    return may;
}
bool uses_tiles(const Product &d) { return has_tiles() && d.num_tokens > MOST_VECTORS; }

int64_t padded_tokens(const Product &d) { return (d.num_tokens + LANES - 1) / LANES * LANES; }

// Inputs as the product reads them: normed, and 16 tokens for each tile.
VECTOR_CLONES void prepare(const Product &d, BFloat16 *inputs) {
    for (int64_t token = 0; token < d.num_tokens; ++token) {
        const BFloat16 *x = static_cast<const BFloat16 *>(d.x) + token * d.x_stride;
        BFloat16 *out = inputs + token * d.size;
        if (!d.norm) {
            std::memcpy(out, x, d.size * sizeof *x);
            continue;
        }
        float squares = 0;
        for (int64_t i = 0; i < d.size; ++i) squares += widen(x[i]) * widen(x[i]);
        const float scale = 1.0f / std::sqrt(squares / float(d.size) + float(d.epsilon));
        for (int64_t i = 0; i < d.size; ++i) narrow(widen(x[i]) * scale * d.norm[i], out[i]);
    }
    std::memset(static_cast<void *>(inputs + d.num_tokens * d.size), 0, (padded_tokens(d) - d.num_tokens) * d.size * 2);
}

#if HAS_PAIRS && HAS_TILES

template <int COUNT>
WITH_PAIRS INLINE void panel_of(const BFloat16 *inputs, int64_t size, const BFloat16 *weights, float (*sums)[PANEL]) {
    __m512 totals[COUNT][GROUPS];
    for (int token = 0; token < COUNT; ++token)
        for (int group = 0; group < GROUPS; ++group) totals[token][group] = _mm512_setzero_ps();
    for (int64_t at = 0; at < size; at += 2) {
        const BFloat16 *line = weights + at / 2 * LINE;
        __m512bh found[GROUPS];
        for (int group = 0; group < GROUPS; ++group) {
            found[group] = (__m512bh)_mm512_loadu_si512(line + group * 2 * LANES);
            _mm_prefetch(reinterpret_cast<const char *>(line + group * 2 * LANES) + AHEAD, _MM_HINT_T0);
        }
        for (int token = 0; token < COUNT; ++token) {
            int pair;
            std::memcpy(&pair, inputs + token * size + at, sizeof pair);
            const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
            for (int group = 0; group < GROUPS; ++group)
                totals[token][group] = _mm512_dpbf16_ps(totals[token][group], x, found[group]);
        }
    }
    for (int token = 0; token < COUNT; ++token)
        for (int group = 0; group < GROUPS; ++group) _mm512_storeu_ps(sums[token] + group * LANES, totals[token][group]);
}

WITH_PAIRS void panel_by_vectors(const Product &d, const BFloat16 *inputs, const BFloat16 *weights, Sums &sums) {
    for (int64_t at = 0; at < d.num_tokens; at += TOGETHER) {
        const BFloat16 *from = inputs + at * d.size;
        switch (d.num_tokens - at) {
            case 1: panel_of<1>(from, d.size, weights, sums + at); break;
            case 2: panel_of<2>(from, d.size, weights, sums + at); break;
            case 3: panel_of<3>(from, d.size, weights, sums + at); break;
            default: panel_of<4>(from, d.size, weights, sums + at);
        }
    }
}

WITH_TILES void panel_by_tiles(const Product &d, const BFloat16 *inputs, const BFloat16 *weights, Sums &sums) {
    constexpr int64_t STRIDE = LINE * sizeof(BFloat16), SUMS = PANEL * sizeof(float);
    const int64_t stride = d.size * int64_t(sizeof(BFloat16)), tokens = padded_tokens(d);
    __asm__ volatile("" ::: "memory");  // the compiler does not know that tiles are read from memory
    for (int64_t token = 0; token < tokens; token += 2 * LANES) {
        const BFloat16 *one = inputs + token * d.size, *two = one + LANES * d.size;
        const bool is_pair = token + LANES < tokens;
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int64_t at = 0; at < d.size; at += DEPTH) {
            const BFloat16 *line = weights + at / 2 * LINE;
            if (token == 0)
                for (int64_t i = 0; i < LANES * GROUPS; ++i)
                    _mm_prefetch(reinterpret_cast<const char *>(line + i * 2 * LANES) + AHEAD, _MM_HINT_T0);
            _tile_loadd(4, one + at, stride);
            _tile_loadd(6, line, STRIDE);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, line + 2 * LANES, STRIDE);
            _tile_dpbf16ps(1, 4, 7);
            if (!is_pair) continue;
            _tile_loadd(5, two + at, stride);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, sums[token], SUMS);
        _tile_stored(1, sums[token] + LANES, SUMS);
        if (!is_pair) break;
        _tile_stored(2, sums[token + LANES], SUMS);
        _tile_stored(3, sums[token + LANES] + LANES, SUMS);
    }
    __asm__ volatile("" ::: "memory");
}

#else

void panel_by_vectors(const Product &, const BFloat16 *, const BFloat16 *, Sums &) {}
void panel_by_tiles(const Product &, const BFloat16 *, const BFloat16 *, Sums &) {}

#endif

template <int KIND>
INLINE void gate_of(float *gate, const float *up, int64_t count) {
    for (int64_t i = 0; i < count; ++i) gate[i] = activate<KIND>(gate[i]) * up[i];
}

// activation(gate) * up, in place of gate.
INLINE void apply_gate(int64_t activation, float *gate, const float *up, int64_t count) {
    switch (activation) {
        case SILU: return gate_of<SILU>(gate, up, count);
        case GELU_TANH: return gate_of<GELU_TANH>(gate, up, count);
        case GELU_SIGMOID: return gate_of<GELU_SIGMOID>(gate, up, count);
        case RELU: return gate_of<RELU>(gate, up, count);
        default: return gate_of<RELU_SQUARED>(gate, up, count);
    }
}

INLINE void add_bias(const Product &d, int64_t first, int64_t count, float *sums) {
    const BFloat16 *bias = static_cast<const BFloat16 *>(d.bias) + first;
    for (int64_t i = 0; i < count; ++i) sums[i] += widen(bias[i]);
}

// Writes the outputs of a panel of y from its sums, and from those of the panel of up if there is a gate.
VECTOR_CLONES void store(const Product &d, int64_t panel, Sums &sums, Sums &up) {
    const int64_t outputs = outputs_of_y(d), first = panel * PANEL, count = std::min(PANEL, outputs - first);
    for (int64_t token = 0; token < d.num_tokens; ++token) {
        float *found = sums[token];
        BFloat16 *y = static_cast<BFloat16 *>(d.y) + token * outputs + first;
        if (d.bias) add_bias(d, first, count, found);
        if (d.activation >= 0) {
            if (d.bias) add_bias(d, outputs + first, count, up[token]);
            apply_gate(d.activation, found, up[token], count);
        }
        if (d.adds)
            for (int64_t i = 0; i < count; ++i) found[i] += widen(y[i]);
        for (int64_t i = 0; i < count; ++i) narrow(found[i], y[i]);
    }
}

void run_panels(const Product &d, const BFloat16 *inputs, int64_t first, int64_t end) {
    alignas(ALIGNED) static thread_local Sums sums, up;
    const BFloat16 *weight = static_cast<const BFloat16 *>(d.weight);
    const int64_t panels = outputs_of_y(d) / PANEL, panel_size = PANEL * d.size;
    const auto multiply = uses_tiles(d) ? panel_by_tiles : panel_by_vectors;
    for (int64_t panel = first; panel < end; ++panel) {
        multiply(d, inputs, weight + panel * panel_size, sums);
        if (d.activation >= 0) multiply(d, inputs, weight + (panels + panel) * panel_size, up);
        store(d, panel, sums, up);
    }
}

}  // namespace

extern "C" {

// The most tokens of a product; 0: the processor lacks the vectors or the matrix unit for which this is written.
int64_t jackfield_product_most_tokens() { return has_pairs() && has_tiles() ? MOST : 0; }

// Bytes of scratch memory; only the sizes of `d` are read.
int64_t jackfield_product_bytes(const Product *d) { return padded_tokens(*d) * d->size * 2 + ALIGNED; }

void jackfield_product(const Product *d, Parallel parallel) {
    BFloat16 *inputs = reinterpret_cast<BFloat16 *>(aligned(reinterpret_cast<intptr_t>(d->scratch)));
    prepare(*d, inputs);
    const int64_t panels = (outputs_of_y(*d) + PANEL - 1) / PANEL;
    share_rows(parallel, d->num_threads, panels, d->num_outputs * d->size >= WORTH,
               [&](int64_t first, int64_t end) {
                   if (!uses_tiles(*d)) return run_panels(*d, inputs, first, end);
                   const Tiles unit;
                   run_panels(*d, inputs, first, end);
               }, PARTS);
}

}  // extern "C"
