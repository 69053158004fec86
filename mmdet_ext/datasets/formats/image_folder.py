"""Reader of a folder of images without labels, to be predicted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet_ext.datasets.formats.detection_coco import DetectionImage
from mmdet_ext.datasets.formats.detection_reader import DetectionReader
from mmdet_ext.datasets.formats.label_files import list_images
from mmdet_ext.datasets.formats.reader import ReadReport, image_size


@dataclass
class ImageFolderReader(DetectionReader):
    """Every image below a folder, all in the split ``test``.

    Attributes:
        root: Folder with images, at any depth.
        classes: Needed: the classes of the model that is to predict, in the order that it was trained
            with: a list, names with commas between them, or a text file with one name per line.
    """

    def find(self, report: ReadReport) -> Sequence[Path]:
        """List the images.

        Raises:
            ValueError: ``classes`` is not given.
            FileNotFoundError: There is no image.
        """
        if self.classes is None:
            raise ValueError(
                f'{self.root}: images without labels name no classes; give those of the model as the '
                'option `classes`, e.g. classes=car,person.'
            )
        images = list_images(self.root)
        if not images:
            raise FileNotFoundError(
                f'{self.root.absolute()}: no image found; expected a folder of them.'
            )
        return images

    def read(self, item: Path, report: ReadReport) -> DetectionImage:
        """Read the size of one image."""
        width, height = image_size(item)
        return DetectionImage(self.relative(item), width, height, split='test')
