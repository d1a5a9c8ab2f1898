"""Measurements that anyone can repeat: ``python -m experiments.benchmarks.<name> --help``."""
