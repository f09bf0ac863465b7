"""Benchmarks: what the runtime costs, beside the alternatives, in one run."""
