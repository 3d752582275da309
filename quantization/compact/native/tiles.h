// AMX: how its tiles are set up. A tile is 16 rows of 64 bytes; all kernels use 0 to 3 for sums, 4 and 5 for rows of
// inputs, 6 and 7 for weights, so one set-up serves all.
#pragma once

#include "multiply.h"

#if HAS_X86

#define AMX                                                                                                        \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16,avx512vnni,"                  \
                          "amx-tile,amx-bf16,amx-int8")))
// The compiler does not know that instructions of tiles read and write memory.
#define TILES_SEE_MEMORY __asm__ volatile("" ::: "memory")

namespace compact {

constexpr int TILE_ROWS = 16;
constexpr int TILE_BYTES = 64;  // of a row

struct alignas(64) TileSetup {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

AMX INLINE void begin_tiles() {
    TileSetup setup;
    for (int i = 0; i < 8; ++i) setup.row_bytes[i] = TILE_BYTES, setup.rows[i] = TILE_ROWS;
    TILES_SEE_MEMORY;
    _tile_loadconfig(&setup);
}

AMX INLINE void end_tiles() { _tile_release(); }

// Rows are multiplied 16 at a time; the last 16 overlap those before where the number is no multiple.
INLINE int64_t num_row_tiles(int64_t rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }
INLINE int64_t first_row(int64_t tile, int64_t rows) {
    return std::max<int64_t>(0, std::min<int64_t>(tile * TILE_ROWS, rows - TILE_ROWS));
}

}  // namespace compact

#endif
