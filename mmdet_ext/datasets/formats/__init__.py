"""One reader per on-disk format: parking slots as :class:`ParkingImage`, boxes as :class:`DetectionImage`."""
