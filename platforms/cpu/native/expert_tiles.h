// Products of 16 rows at a time on the matrix unit of x86 (AMX), with weights as a checkpoint stores them.
//
// The unit multiplies a tile of rows by a tile whose columns stand in pairs. Weights are the rows, so they are read where
// they lie; the inputs, which are few, are put in pairs ("packed") once.

#pragma once

#include "common.h"
#include "dots.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && (__GNUC__ >= 11 || defined(__clang__))
#define HAS_TILES 1
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define HAS_TILES 0
#endif

namespace jackfield {

constexpr int64_t LANES = 16;  // rows of a tile, and inputs that one holds
constexpr int64_t DEPTH = 32;  // elements of a row of a tile
constexpr int64_t TILE = LANES * LANES;  // sums of a tile of rows and one of inputs

#if defined(__clang__)  // it has no shuffle of this form

INLINE void transpose(Words (&rows)[LANES]) {
    Words columns[LANES];
    for (int64_t row = 0; row < LANES; ++row)
        for (int64_t lane = 0; lane < LANES; ++lane) columns[lane][row] = rows[row][lane];
    std::memcpy(rows, columns, sizeof columns);
}

#else

// One round: in blocks of DISTANCE, what lies right in the first row and left in the second one changes places.
template <uint32_t DISTANCE>
INLINE void exchange(Words (&rows)[LANES]) {
    constexpr Words PLACES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};  // the second row's begin at 16
    constexpr Words IS_RIGHT = (PLACES & DISTANCE) / DISTANCE;
    constexpr Words LOW = PLACES + IS_RIGHT * (uint32_t(LANES) - DISTANCE);
    constexpr Words HIGH = PLACES + DISTANCE + IS_RIGHT * (uint32_t(LANES) - DISTANCE);
#pragma GCC unroll 16
    for (uint32_t row = 0; row < LANES; ++row) {
        if (row & DISTANCE) continue;
        const Words one = rows[row], two = rows[row + DISTANCE];
        rows[row] = __builtin_shuffle(one, two, LOW);
        rows[row + DISTANCE] = __builtin_shuffle(one, two, HIGH);
    }
}

// 16 rows of 16 elements of 4 bytes become 16 columns.
INLINE void transpose(Words (&rows)[LANES]) {
    exchange<1>(rows);
    exchange<2>(rows);
    exchange<4>(rows);
    exchange<8>(rows);
}

#endif

// Puts up to 16 inputs in pairs: [size / 2, LANES] words of two elements. Lanes without an input are 0.
INLINE void pack_inputs(const BFloat16 *const *inputs, int64_t count, int64_t size, uint32_t *packed) {
    for (int64_t at = 0; at < size; at += DEPTH) {
        Words words[LANES] = {};
        for (int64_t lane = 0; lane < count; ++lane) std::memcpy(&words[lane], inputs[lane] + at, sizeof words[lane]);
        transpose(words);
        std::memcpy(packed + at / 2 * LANES, words, sizeof words);
    }
}

#if HAS_TILES

#define WITH_TILES __attribute__((target("amx-tile,amx-bf16,avx512f")))

// True if the processor has the unit and the system lets this process use it.
inline bool may_use_tiles() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned BF16 = 1u << 22, TILES = 1u << 24;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & BF16) == 0 || (d & TILES) == 0) return false;
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

// Registers of 16 rows of 64 bytes. A constant, since the compiler believes that the instruction reads 8 bytes of it.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileShapes SHAPES;

// The unit's registers have their shapes while an object lives.
class Tiles {
  public:
    WITH_TILES Tiles() { _tile_loadconfig(&SHAPES); }
    WITH_TILES ~Tiles() { _tile_release(); }

    // sums [2 of weights, 2 of inputs, row, lane] of 2 x 16 rows of weights and 2 x 16 packed inputs. `ahead` is where
    // weights of the next call begin (null: none): they are asked for in the order in which they lie in memory.
    WITH_TILES void multiply(
        const BFloat16 *const weights[2], const uint32_t *const packed[2], int64_t size, const BFloat16 *const ahead[2],
        float *sums) const {
        __asm__ volatile("" ::: "memory");  // the compiler does not know that tiles are read from memory
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        const int64_t stride = size * int64_t(sizeof(BFloat16));
        for (int64_t at = 0; at < size; at += DEPTH) {
            _tile_loadd(4, weights[0] + at, stride);
            _tile_loadd(6, packed[0] + at / 2 * LANES, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, packed[1] + at / 2 * LANES, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, weights[1] + at, stride);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
            if (ahead) {
                for (int64_t i = 0; i < LANES; ++i) {
                    _mm_prefetch(reinterpret_cast<const char *>(ahead[0] + (at * LANES + i * DEPTH)), _MM_HINT_T1);
                    _mm_prefetch(reinterpret_cast<const char *>(ahead[1] + (at * LANES + i * DEPTH)), _MM_HINT_T1);
                }
            }
        }
        _tile_stored(0, sums, 64);
        _tile_stored(1, sums + TILE, 64);
        _tile_stored(2, sums + 2 * TILE, 64);
        _tile_stored(3, sums + 3 * TILE, 64);
    }
};

#else

inline bool may_use_tiles() { return false; }

class Tiles {
  public:
    void multiply(const BFloat16 *const *, const uint32_t *const *, int64_t, const BFloat16 *const *, float *) const {}
};

#endif

}  // namespace jackfield
