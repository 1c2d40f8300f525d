"""What buffers, delivery and operators share: Rx without tasks of its own."""
