"""Plain NumPy functions behind the metrics, usable without a Runner."""
