"""AWQ checkpoints for Jackfield: GEMM, GEMV, GEMV-fast and Marlin packings."""
