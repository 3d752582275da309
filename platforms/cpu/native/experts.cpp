// The experts of a step: gate and up, the activation between, down, and the weighted sum of each token.
//
// A choice is one expert of one token. Choices are sorted by expert; their number in this order is their place. The
// time of few choices is that of reading the weights of chosen experts. Each row of weights is read once a step, in the order
// of memory, where the checkpoint's rows lie. Threads share out rows of weights, not experts, so that they end together.
// Experts with several choices use the matrix unit, if there is one.

#include <type_traits>
#include <vector>

#include "activation.h"
#include "common.h"
#include "dots.h"
#include "expert_tiles.h"

using namespace jackfield;

// What Python passes. All but x is contiguous. T: of x, weights, biases and y.
struct Experts {
    const void *x;           // T [tokens, hidden]
    const int64_t *expert;   // [tokens, top_k]
    const float *weight;     // [tokens, top_k]
    const void *into;        // T [experts, 2 * between, hidden], gate before up
    const void *into_bias;   // T [experts, 2 * between]; null: none
    const void *out;         // T [experts, hidden, between]
    const void *out_bias;    // T [experts, hidden]; null: none
    void *y;                 // T [tokens, hidden]
    void *scratch;           // as many bytes as jackfield_experts_bytes says
    int64_t num_tokens, top_k, hidden, between;
    int64_t x_stride;        // elements from one token to the next
    int64_t num_experts;     // held, from the number `first` on; choices of others add nothing
    int64_t first;
    int64_t activation;      // of Activation
    int64_t is_bf16;         // T; else float32
    int64_t num_threads;
};

namespace {

constexpr int64_t ALIGNED = 64;   // bytes
constexpr int64_t BLOCK = 96;     // rows of weights that an item takes
constexpr int64_t SMALL_BLOCK = 32;  // the same if there are few items for the threads
constexpr int64_t FEWEST = 3;     // choices of an expert from which on the matrix unit is used
constexpr int64_t PARTS = 8;      // for each thread: experts differ in their choices, threads in their speed
constexpr int64_t WORTH = 1 << 16;  // elements to be added up from which on threads share them out
constexpr int64_t ROWS_OF_TILES = 2 * LANES;

template <int KIND>
INLINE void gate_of(float *gate, const float *up, int64_t count) {
    for (int64_t i = 0; i < count; ++i) gate[i] = activate<KIND>(gate[i]) * up[i];
}

// activation(gate) * up, in place of gate.
VECTOR_CLONES void apply_gate(int64_t activation, float *gate, const float *up, int64_t count) {
    switch (activation) {
        case SILU: return gate_of<SILU>(gate, up, count);
        case GELU_TANH: return gate_of<GELU_TANH>(gate, up, count);
        case GELU_SIGMOID: return gate_of<GELU_SIGMOID>(gate, up, count);
        case RELU: return gate_of<RELU>(gate, up, count);
        default: return gate_of<RELU_SQUARED>(gate, up, count);
    }
}

bool uses_tiles(const Experts &d) {
    static const bool may = may_use_tiles();
    return may && d.is_bf16 && d.hidden % ROWS_OF_TILES == 0 && d.between % ROWS_OF_TILES == 0;
}

// An expert that was chosen.
struct Chosen {
    int64_t expert;
    int64_t start, count;  // its places
    int64_t tile;          // number of its first tile of inputs; -1: it does not use the matrix unit
};

// Who was chosen by whom. The vectors stay with the calling thread.
struct Order {
    std::vector<Chosen> chosen;
    std::vector<int64_t> ends;    // by expert
    std::vector<int64_t> choice;  // of each place
    std::vector<int64_t> place;   // of each choice; -1: its expert is not held
    std::vector<Chosen> tiles;    // of each tile: its expert, its places, its number

    void fill(const Experts &d) {
        const int64_t num_choices = d.num_tokens * d.top_k;
        const bool has_tiles = uses_tiles(d);
        ends.assign(d.num_experts, 0);
        for (int64_t i = 0; i < num_choices; ++i)
            if (holds(d, i)) ++ends[d.expert[i] - d.first];
        chosen.clear(), tiles.clear();
        int64_t start = 0;
        for (int64_t expert = 0; expert < d.num_experts; ++expert) {
            const int64_t count = ends[expert];
            ends[expert] = start;
            if (count == 0) continue;
            const bool is_tiled = has_tiles && count >= FEWEST;
            chosen.push_back({expert, start, count, is_tiled ? int64_t(tiles.size()) : -1});
            for (int64_t at = 0; is_tiled && at < count; at += LANES)
                tiles.push_back({expert, start + at, std::min(LANES, count - at), int64_t(tiles.size())});
            start += count;
        }
        choice.resize(start), place.resize(num_choices);
        for (int64_t i = 0; i < num_choices; ++i) {
            place[i] = holds(d, i) ? ends[d.expert[i] - d.first]++ : -1;
            if (place[i] >= 0) choice[place[i]] = i;
        }
    }

    static bool holds(const Experts &d, int64_t i) { return d.expert[i] >= d.first && d.expert[i] < d.first + d.num_experts; }
};

int64_t aligned(int64_t bytes) { return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED; }

// Where in the scratch memory things lie, in bytes.
struct Layout {
    int64_t h, y, packed_x, packed_h, end;

    explicit Layout(const Experts &d) {
        const int64_t num_choices = d.num_tokens * d.top_k, itemsize = d.is_bf16 ? 2 : 4;
        // Each expert has at most one tile that is not full, and at least FEWEST choices for it.
        const int64_t padded = LANES * std::min(num_choices / LANES + d.num_experts, num_choices / FEWEST);
        const int64_t inputs = uses_tiles(d) ? padded : 0;
        h = 0;
        y = aligned(h + num_choices * d.between * itemsize);
        packed_x = aligned(y + num_choices * d.hidden * itemsize);
        packed_h = aligned(packed_x + inputs * d.hidden * itemsize);
        end = aligned(packed_h + inputs * d.between * itemsize) + ALIGNED;
    }
};

template <typename T>
struct Step {
    const Experts &d;
    const Order &order;
    Dots<T> dots;
    int64_t block;  // rows of weights that an item takes
    T *h;  // [places, between]
    T *y;  // [places, hidden]
    uint32_t *packed_x, *packed_h;  // [tiles, hidden or between / 2, LANES]

    Step(const Experts &d, const Order &order, Dots<T> dots) : d(d), order(order), dots(dots), block(BLOCK) {
        if (int64_t(order.chosen.size()) * blocks(d.between) < PARTS * d.num_threads) block = SMALL_BLOCK;
        const Layout layout(d);
        char *scratch = reinterpret_cast<char *>(aligned(reinterpret_cast<intptr_t>(d.scratch)));
        h = reinterpret_cast<T *>(scratch + layout.h);
        y = reinterpret_cast<T *>(scratch + layout.y);
        packed_x = reinterpret_cast<uint32_t *>(scratch + layout.packed_x);
        packed_h = reinterpret_cast<uint32_t *>(scratch + layout.packed_h);
    }

    int64_t blocks(int64_t rows) const { return (rows + block - 1) / block; }

    INLINE const T *into(const Chosen &chosen, int64_t row) const {
        return static_cast<const T *>(d.into) + (chosen.expert * 2 * d.between + row) * d.hidden;
    }
    INLINE const T *out(const Chosen &chosen, int64_t row) const {
        return static_cast<const T *>(d.out) + (chosen.expert * d.hidden + row) * d.between;
    }
    INLINE const T *input(int64_t place) const {
        return static_cast<const T *>(d.x) + order.choice[place] / d.top_k * d.x_stride;
    }

    // sums [count, 2, rows]: inputs with `rows` rows each of two parts of a matrix that lie `apart` rows from each other.
    template <typename Input>
    INLINE void multiply(const T *weights, int64_t apart, int64_t rows, int64_t size, int64_t count, Input input, float *sums) const {
        constexpr int64_t HALF = ROWS / 2;
        float found[INPUTS * ROWS];
        for (int64_t row = 0; row < rows; row += HALF) {
            const T *four[ROWS];
            for (int64_t i = 0; i < HALF; ++i) {
                four[i] = weights + std::min(row + i, rows - 1) * size;
                four[HALF + i] = four[i] + apart * size;
            }
            const int64_t real = std::min(HALF, rows - row);
            for (int64_t at = 0; at < count; at += INPUTS) {
                const int64_t now = std::min<int64_t>(INPUTS, count - at);
                const T *inputs[INPUTS];
                for (int64_t i = 0; i < now; ++i) inputs[i] = input(at + i);
                dots(inputs, now, four, size, found);
                for (int64_t i = 0; i < now; ++i)
                    for (int64_t part = 0; part < 2; ++part)
                        for (int64_t r = 0; r < real; ++r)
                            sums[((at + i) * 2 + part) * rows + row + r] = found[i * ROWS + part * HALF + r];
            }
        }
    }

    // h of rows [first, first + rows) of gate and of up.
    INLINE void enter(const Chosen &chosen, int64_t first, int64_t rows, std::vector<float> &sums) const {
        sums.resize(2 * rows * chosen.count);
        const auto inputs = [&](int64_t i) { return input(chosen.start + i); };
        multiply(into(chosen, first), d.between, rows, d.hidden, chosen.count, inputs, sums.data());
        for (int64_t i = 0; i < chosen.count; ++i) {
            float *gate = sums.data() + i * 2 * rows, *up = gate + rows;
            if (d.into_bias) {
                const T *bias = static_cast<const T *>(d.into_bias) + chosen.expert * 2 * d.between + first;
                for (int64_t r = 0; r < rows; ++r) gate[r] += widen(bias[r]);
                for (int64_t r = 0; r < rows; ++r) up[r] += widen(bias[d.between + r]);
            }
            apply_gate(d.activation, gate, up, rows);
            T *target = h + (chosen.start + i) * d.between + first;
            for (int64_t r = 0; r < rows; ++r) narrow(gate[r], target[r]);
        }
    }

    // y of rows [first, first + rows) of down.
    INLINE void leave(const Chosen &chosen, int64_t first, int64_t rows, std::vector<float> &sums) const {
        sums.resize(rows * chosen.count);
        const T *from = h + chosen.start * d.between;
        const auto inputs = [&](int64_t i) { return from + i * d.between; };
        multiply(out(chosen, first), rows / 2, rows / 2, d.between, chosen.count, inputs, sums.data());
        for (int64_t i = 0; i < chosen.count; ++i) store(chosen, chosen.start + i, first, rows, sums.data() + i * rows);
    }

    INLINE void store(const Chosen &chosen, int64_t place, int64_t first, int64_t rows, const float *sums) const {
        T *target = y + place * d.hidden + first;
        if (d.out_bias) {
            const T *bias = static_cast<const T *>(d.out_bias) + chosen.expert * d.hidden + first;
            for (int64_t r = 0; r < rows; ++r) narrow(sums[r] + widen(bias[r]), target[r]);
        } else {
            for (int64_t r = 0; r < rows; ++r) narrow(sums[r], target[r]);
        }
    }

    // The weighted sum of a token.
    INLINE void add_up(int64_t token, std::vector<float> &sums) const {
        sums.assign(d.hidden, 0.0f);
        for (int64_t choice = token * d.top_k; choice < (token + 1) * d.top_k; ++choice) {
            if (order.place[choice] < 0) continue;
            const T *from = y + order.place[choice] * d.hidden;
            for (int64_t i = 0; i < d.hidden; ++i) sums[i] += d.weight[choice] * widen(from[i]);
        }
        T *target = static_cast<T *>(d.y) + token * d.hidden;
        for (int64_t i = 0; i < d.hidden; ++i) narrow(sums[i], target[i]);
    }

    INLINE uint32_t *packed(uint32_t *all, int64_t tile, int64_t size) const { return all + tile * (size / 2) * LANES; }

    INLINE void pack(const Chosen &tile) const {
        const T *inputs[LANES];
        for (int64_t i = 0; i < tile.count; ++i) inputs[i] = input(tile.start + i);
        pack_inputs(inputs, tile.count, d.hidden, packed(packed_x, tile.tile, d.hidden));
    }

    // visit(sums, tile) for the products of two blocks of 16 rows and each tile of the expert's inputs: sums
    // [2 blocks, row, lane], the second block `second` floats behind the first. `ahead`: rows to the next two blocks.
    template <typename Visit>
    INLINE void multiply_tiles(
        const Tiles &unit, const Chosen &chosen, const T *one, const T *two, int64_t ahead, int64_t size, uint32_t *inputs, Visit visit) const {
        alignas(ALIGNED) float sums[4 * TILE];
        const T *weights[2] = {one, two}, *next[2] = {one + ahead * size, two + ahead * size};
        const int64_t end = chosen.tile + (chosen.count + LANES - 1) / LANES;
        for (int64_t tile = chosen.tile; tile < end; tile += 2) {
            const uint32_t *pair[2] = {packed(inputs, tile, size), packed(inputs, std::min(tile + 1, end - 1), size)};
            unit.multiply(weights, pair, size, ahead && tile == chosen.tile ? next : nullptr, sums);
            visit(sums, order.tiles[tile]);
            if (tile + 1 < end) visit(sums + TILE, order.tiles[tile + 1]);
        }
    }

    // As `enter` and `leave`. `rows` is a multiple of 32.
    INLINE void enter_tiles(const Tiles &unit, const Chosen &chosen, int64_t first, int64_t rows) const {
        for (int64_t row = first; row < first + rows; row += LANES) {
            const int64_t ahead = row + LANES < d.between ? LANES : 0;
            const auto visit = [&](float *gate, const Chosen &tile) {
                float *up = gate + 2 * TILE;
                if (d.into_bias) {
                    const T *bias = static_cast<const T *>(d.into_bias) + chosen.expert * 2 * d.between + row;
                    for (int64_t i = 0; i < TILE; ++i) gate[i] += widen(bias[i / LANES]);
                    for (int64_t i = 0; i < TILE; ++i) up[i] += widen(bias[d.between + i / LANES]);
                }
                apply_gate(d.activation, gate, up, TILE);
                uint32_t *target = packed(packed_h, tile.tile, d.between) + row / 2 * LANES;
                for (int64_t pair = 0; pair < LANES / 2; ++pair) {
                    const float *low = gate + pair * 2 * LANES, *high = low + LANES;
                    for (int64_t lane = 0; lane < LANES; ++lane)
                        target[pair * LANES + lane] = bfloat16_bits(low[lane]) | bfloat16_bits(high[lane]) << 16;
                }
            };
            multiply_tiles(unit, chosen, into(chosen, row), into(chosen, d.between + row), ahead, d.hidden, packed_x, visit);
        }
    }

    INLINE void leave_tiles(const Tiles &unit, const Chosen &chosen, int64_t first, int64_t rows) const {
        for (int64_t row = first; row < first + rows; row += ROWS_OF_TILES) {
            const int64_t ahead = row + ROWS_OF_TILES < d.hidden ? ROWS_OF_TILES : 0;
            const auto visit = [&](const float *sums, const Chosen &tile) {
                for (int64_t part = 0; part < 2; ++part) {
                    Words words[LANES];
                    std::memcpy(words, sums + part * 2 * TILE, sizeof words);
                    transpose(words);
                    float lanes[TILE];
                    std::memcpy(lanes, words, sizeof lanes);
                    for (int64_t lane = 0; lane < tile.count; ++lane)
                        store(chosen, tile.start + lane, row + part * LANES, LANES, lanes + lane * LANES);
                }
            };
            multiply_tiles(unit, chosen, out(chosen, row), out(chosen, row + LANES), ahead, d.between, packed_h, visit);
        }
    }
};

enum Phase { PACK, ENTER, LEAVE, ADD_UP };

// Items [first, end) of a phase: tiles, blocks of rows of each chosen expert, or tokens.
template <typename T>
INLINE void run_items(const Step<T> &step, Phase phase, int64_t first, int64_t end) {
    static thread_local std::vector<float> sums;
    const Experts &d = step.d;
    const int64_t rows = phase == ENTER ? d.between : d.hidden, blocks = step.blocks(rows);
    for (int64_t item = first; item < end; ++item) {
        if (phase == ADD_UP) {
            step.add_up(item, sums);
            continue;
        }
        if constexpr (std::is_same_v<T, BFloat16>) {
            if (phase == PACK) {
                step.pack(step.order.tiles[item]);
                continue;
            }
        }
        const Chosen &chosen = step.order.chosen[item / blocks];
        const int64_t row = item % blocks * step.block, count = std::min(step.block, rows - row);
        if constexpr (std::is_same_v<T, BFloat16>) {
            if (chosen.tile >= 0) {
                const Tiles unit;
                phase == ENTER ? step.enter_tiles(unit, chosen, row, count) : step.leave_tiles(unit, chosen, row, count);
                continue;
            }
        }
        phase == ENTER ? step.enter(chosen, row, count, sums) : step.leave(chosen, row, count, sums);
    }
}

VECTOR_CLONES void run_bf16(const Step<BFloat16> &step, Phase phase, int64_t first, int64_t end) {
    run_items(step, phase, first, end);
}
VECTOR_CLONES void run_float(const Step<float> &step, Phase phase, int64_t first, int64_t end) {
    run_items(step, phase, first, end);
}

template <typename T, typename Run>
void run_phases(const Experts &d, Dots<T> dots, Run run, Parallel parallel) {
    static thread_local Order order;
    order.fill(d);
    const Step<T> step(d, order, dots);
    const int64_t num_chosen = int64_t(order.chosen.size());
    const auto share = [&](Phase phase, int64_t num_items, bool is_worth) {
        share_rows(parallel, d.num_threads, num_items, is_worth,
                   [&](int64_t first, int64_t end) { run(step, phase, first, end); }, PARTS);
    };
    if (!order.tiles.empty()) share(PACK, int64_t(order.tiles.size()), true);
    share(ENTER, num_chosen * step.blocks(d.between), true);
    share(LEAVE, num_chosen * step.blocks(d.hidden), true);
    share(ADD_UP, d.num_tokens, d.num_tokens * d.top_k * d.hidden >= WORTH);
}

}  // namespace

extern "C" {

// Bytes of scratch memory for a step; only the sizes of `d` are read.
int64_t jackfield_experts_bytes(const Experts *d) { return Layout(*d).end; }

// Whether the processor has the vectors for which this is written.
int64_t jackfield_experts_serve() { return has_wide_vectors(); }

// Whether experts of the sizes of `d` use the matrix unit if they have several choices.
int64_t jackfield_experts_use_tiles(const Experts *d) { return uses_tiles(*d); }

void jackfield_experts(const Experts *d, Parallel parallel) {
    if (d->is_bf16)
        run_phases<BFloat16>(*d, has_pairs() ? dots_pairs : dots_widened, run_bf16, parallel);
    else
        run_phases<float>(*d, dots_float, run_float, parallel);
}

}  // extern "C"
