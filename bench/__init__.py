"""Benchmarks, side by side in one run: ``python -m bench echo``, ``python -m bench churn``."""
