"""Our own format as a source, to be split anew or written in another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage, read_parking_slot_coco
from mmdet_ext.datasets.formats.reader import ParkingReader, ReadReport


@dataclass
class ParkingSlotCocoReader(ParkingReader):
    """Parking-slot COCO files; a file is a split of its name.

    Attributes:
        root: One JSON file, or a folder that holds some.
    """

    def find(self, report: ReadReport) -> Sequence[ParkingImage]:
        """List the images of all files.

        Raises:
            FileNotFoundError: There is no JSON file.
            ValueError: A file is invalid, or files are not complete in the same kinds of label.
        """
        paths = sorted(self.root.glob('*.json')) if self.root.is_dir() else [self.root]
        if not paths or not paths[0].is_file():
            raise FileNotFoundError(
                f'{self.root.absolute()}: no JSON file found; expected parking-slot COCO.'
            )
        files = [read_parking_slot_coco(path) for path in paths]
        self.labels = files[0].labels
        for file in files:
            if set(file.labels) != set(self.labels):
                raise ValueError(
                    f'{file.path}: its `info.labels` are {list(file.labels)}, those of {paths[0].name} '
                    f'{list(self.labels)}; convert the files one by one.'
                )
            for image in file.images:
                image.split = Path(file.path).stem
        return [image for file in files for image in file.images]

    def read(self, item: ParkingImage, report: ReadReport) -> ParkingImage:
        """Return the image."""
        return item

    def label(self, item: ParkingImage) -> str:
        """File name of the image."""
        return item.file_name
