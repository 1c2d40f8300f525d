"""What rx_cometd costs, measured beside others: ``python -m benchmarks``."""
