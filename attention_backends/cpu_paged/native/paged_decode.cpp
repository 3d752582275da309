// Attention of rows with one query over a paged cache, in place: no key or value is copied.
//
// A work item is a piece of a row and one key-value head with all query heads that share it. It first takes all scores, then
// the softmax, then the sum of values (the same three steps as in the definition): the scores of a row fit in a cache of
// the processor, and nothing must be rescaled. Long rows are cut into pieces, so that all threads have work; the one that
// ends a row's last piece joins them.

#include <atomic>
#include <memory>

#include "decode.h"

namespace paged {

namespace {

constexpr int64_t MIN_PIECE = 128;     // tokens; joining shorter pieces costs more than it brings
constexpr int64_t ITEMS_A_THREAD = 4;  // at least, so that threads end together

// Tokens [first, last) of a row. Pieces of one row follow one another.
struct Piece {
    int64_t row, first, last;
    int64_t index, count;  // among the row's pieces
    int64_t part;          // where the row's sums begin, in pieces; -1: the piece is the whole row
};

int64_t first_seen(const Decode &d, int64_t length) {
    if (d.chunk_size) return (length - 1) / d.chunk_size * d.chunk_size;
    return d.window && length > d.window ? length - d.window : 0;
}

// Cuts rows into pieces; returns how many are parts of a row.
int64_t plan(const Decode &d, std::vector<Piece> &pieces) {
    int64_t total = 0, num_parts = 0;
    for (int64_t i = 0; i < d.num_rows; ++i) total += d.lengths[d.rows[i]] - first_seen(d, d.lengths[d.rows[i]]);
    const int64_t share = total * d.num_kv_heads / (d.num_threads * ITEMS_A_THREAD);
    const int64_t most = d.num_threads == 1 ? std::numeric_limits<int64_t>::max() : std::max(MIN_PIECE, share);
    pieces.clear();
    for (int64_t i = 0; i < d.num_rows; ++i) {
        const int64_t row = d.rows[i], length = d.lengths[row], first = first_seen(d, length);
        const int64_t wanted = (length - first - 1) / most + 1;
        const int64_t step = ((length - first - 1) / wanted / RUN + 1) * RUN;
        const int64_t count = (length - first - 1) / step + 1;  // whole runs may need fewer pieces: none is empty
        for (int64_t index = 0; index < count; ++index) {
            const int64_t at = first + index * step;
            pieces.push_back({row, at, std::min(length, at + step), index, count, count > 1 ? num_parts : -1});
        }
        if (count > 1) num_parts += count;
    }
    return num_parts;
}

// Buffers that calls of one thread reuse. Addresses are multiples of a cache line.
class Floats {
   public:
    float *take(int64_t count) {
        constexpr int64_t LINE = CACHE_LINE / sizeof(float);
        if (int64_t(room.size()) < count + LINE) room.resize(size_t(2 * count + LINE));
        const auto address = reinterpret_cast<uintptr_t>(room.data());
        return room.data() + (CACHE_LINE - address % CACHE_LINE) % CACHE_LINE / sizeof(float);
    }

   private:
    std::vector<float> room;
};

// Items are handed out one after the other, so that threads end together although rows differ in length.
struct Team {
    const Decode &d;
    const std::vector<Piece> &pieces;
    const Passes passes;
    float *parts;  // [parts of rows, kv heads, heads of a group, padded + 2]: sums, the largest score, the weights' sum
    std::atomic<int32_t> *ended;  // [parts, kv heads], the parts that have ended, counted at a row's first one
    std::atomic<int64_t> next{0};

    int64_t group() const { return d.num_heads / d.num_kv_heads; }
};

// out = the sum of all parts, each weighted with exp(its largest score - the largest of all).
void join(const Team &team, const Work &work, const Piece &piece, void *out) {
    const int64_t padded = work.padded(), head_floats = padded + 2;
    const int64_t part_floats = team.d.num_kv_heads * team.group() * head_floats;
    const float *first = team.parts + piece.part * part_floats + work.kv_head * team.group() * head_floats;
    for (int64_t h = 0; h < work.num_heads; ++h) {
        const float *head = first + h * head_floats;
        float peak = head[padded], total = 0;
        for (int64_t p = 1; p < piece.count; ++p) peak = std::max(peak, head[p * part_floats + padded]);
        float *sums = work.sums + h * padded;
        std::fill_n(sums, padded, 0.0f);
        for (int64_t p = 0; p < piece.count; ++p) {
            const float *part = head + p * part_floats;
            const float weight = std::exp(part[padded] - peak);
            total += weight * part[padded + 1];
            for (int64_t i = 0; i < padded; ++i) sums[i] += weight * part[i];
        }
        const float share = 1.0f / total;
        const int64_t bytes = team.d.head_size * (team.d.is_bf16 ? 2 : 4);
        write_out(team.d, sums, padded, &share, 1, static_cast<char *>(out) + h * bytes);
    }
}

void run_item(const Team &team, const Piece &piece, int64_t kv_head) {
    static thread_local Floats scores, heads;
    const Decode &d = team.d;
    const int64_t group = team.group(), element = d.is_bf16 ? 2 : 4, head = kv_head * group;
    const int64_t padded = (d.head_size + PADDING - 1) / PADDING * PADDING;
    float *room = heads.take(group * (2 * padded + 2)), *peaks = room + 2 * group * padded, *totals = peaks + group;
    const char *query = static_cast<const char *>(d.query) + (d.tokens[piece.row] * d.query_stride + head * d.head_size) * element;
    char *out = static_cast<char *>(d.out) + (d.tokens[piece.row] * d.num_heads + head) * d.head_size * element;
    const Work work{d, d.block_ids + piece.row * d.table_stride, kv_head, group, piece.first, piece.last, query, room,
                    scores.take(group * (piece.last - piece.first)), room + group * padded};
    team.passes.score(work);
    soften(work, peaks, totals);
    team.passes.add(work);
    if (piece.part < 0) {
        for (int64_t h = 0; h < group; ++h) totals[h] = 1.0f / totals[h];
        return write_out(d, work.sums, padded, totals, group, out);
    }
    float *part = team.parts + ((piece.part + piece.index) * d.num_kv_heads + kv_head) * group * (padded + 2);
    for (int64_t h = 0; h < group; ++h, part += padded + 2) {
        std::copy_n(work.sums + h * padded, padded, part);
        part[padded] = peaks[h];
        part[padded + 1] = totals[h];
    }
    if (team.ended[piece.part * d.num_kv_heads + kv_head].fetch_add(1) + 1 == piece.count) join(team, work, piece, out);
}

void run_items(void *data) {
    Team &team = *static_cast<Team *>(data);
    const int64_t kv_heads = team.d.num_kv_heads, count = int64_t(team.pieces.size()) * kv_heads;
    for (int64_t item; (item = team.next.fetch_add(1)) < count;)
        run_item(team, team.pieces[size_t(item / kv_heads)], item % kv_heads);
}

Passes choose(const Decode &d) {
#if HAS_X86
    if (d.is_bf16 && d.level >= VECTORS) return vector_passes(d);
#endif
    return portable_passes(d);
}

// GOMP_parallel of the OpenMP library that torch runs on: the same threads do both works. Threads of our own would
// fight with torch's, which spin for a while when they have nothing to do.
using Parallel = void (*)(void (*)(void *), void *, unsigned num_threads, unsigned flags);

}  // namespace

}  // namespace paged

extern "C" {

int paged_decode_max_head_size() { return paged::MAX_HEAD_SIZE; }

// What the processor has: of Level.
int paged_decode_level() {
#if HAS_X86
    if (paged::has_vectors()) return paged::VECTORS;
#endif
    return paged::PORTABLE;
}

// One layer's attention. `parallel` may be null: one thread does all.
void paged_decode(const Decode *d, void *parallel) {
    using namespace paged;
    static thread_local std::vector<Piece> pieces;
    static thread_local Floats parts;
    static thread_local std::vector<std::atomic<int32_t>> ended;
    const int64_t num_parts = plan(*d, pieces);
    const int64_t padded = (d->head_size + PADDING - 1) / PADDING * PADDING;
    if (int64_t(ended.size()) < num_parts * d->num_kv_heads)
        ended = std::vector<std::atomic<int32_t>>(size_t(2 * num_parts * d->num_kv_heads));
    for (int64_t i = 0; i < num_parts * d->num_kv_heads; ++i) ended[size_t(i)] = 0;
    Team team{*d, pieces, choose(*d), num_parts ? parts.take(num_parts * d->num_heads * (padded + 2)) : nullptr, ended.data()};
    if (parallel && d->num_threads > 1)
        reinterpret_cast<Parallel>(parallel)(run_items, &team, unsigned(d->num_threads), 0);
    else
        run_items(&team);
}

}  // extern "C"
