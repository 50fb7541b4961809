"""Benchmarks, side by side in one run: ``python -m bench echo``, ``churn`` and ``loops``."""
