"""Named experiments, one small file each, and the benchmarks."""
