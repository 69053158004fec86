"""One reader per on-disk format; all of them give :class:`ParkingImage` records."""
