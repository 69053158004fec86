"""Even contrast in images whose light is not."""

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from mmdet_ext.utils.contrast import equalise_lightness


@TRANSFORMS.register_module()
class LocalContrast(BaseTransform):
    """Equalise the histogram of lightness tile by tile, within limits; colours stay.

    Faded lines under garage lamps or in shadow come out as lines on sunlit ground do: Contrast Limited
    Adaptive Histogram Equalization (Zuiderveld, Graphics Gems IV, 1994), as OpenCV has it.

    Required and changed key: ``img``, BGR, uint8.

    Args:
        clip_limit: How far the contrast of a tile may rise; below 1 nothing changes.
        tiles: Number of tiles across and down.
    """

    def __init__(self, clip_limit: float = 2.0, tiles: tuple[int, int] = (4, 4)) -> None:
        self.clip_limit = clip_limit
        self.tiles = tuple(tiles)

    def transform(self, results: dict) -> dict:
        """Equalise the image's lightness."""
        results['img'] = equalise_lightness(results['img'], self.clip_limit, self.tiles)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(clip_limit={self.clip_limit}, tiles={self.tiles})'
