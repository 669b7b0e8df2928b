"""What `scripts/benchmark.py` measures with; it needs the reference, which the package itself never imports."""
