"""Target assignment and decoding."""
