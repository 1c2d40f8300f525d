"""Fuzzing of everything that comes from the network: `python -m tests.fuzz --minutes 60`."""
