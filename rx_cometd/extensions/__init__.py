"""The ready-made extensions."""
