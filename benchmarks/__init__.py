"""What is measured, and how anyone can measure it again: python -m benchmarks.latency, .load, .soak."""
