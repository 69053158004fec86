"""From a config and a checkpoint to the module that is exported."""

from mmengine.config import Config
from torch import nn

from mmdet_ext.apis.fusion import fuse_conv_bn
from mmdet_ext.apis.models import load_model
from mmdet_ext.apis.stock_inference import finds_parking_slots
from mmdet_ext.deploy.parking_slot_graph import ParkingSlotGraph
from mmdet_ext.deploy.stock_detectors import StockDetectorGraph


def build_graph(
    cfg: Config,
    checkpoint: str,
    input_size: tuple[int, int] | None = None,
    any_size: bool = False,
    raw: bool = False,
) -> nn.Module:
    """Build a detector with its preprocessing and its decoding, from images to findings.

    Args:
        cfg: Of the detector.
        checkpoint: Trained with it.
        input_size: Width and height of the images to come, in pixels; None: those of the network.
        any_size: Take images of any size.
        raw: Give the maps of the head, not decoded.

    Returns:
        A :class:`ParkingSlotGraph` or a :class:`StockDetectorGraph`, in evaluation mode.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The checkpoint does not fit, the detector cannot be exported, or one of boxes is to
            be more than plain.
    """
    model, meta = load_model(cfg, checkpoint)
    fuse_conv_bn(model)
    if finds_parking_slots(cfg):
        return ParkingSlotGraph(model, cfg, meta, input_size, any_size, raw).eval()
    if input_size or any_size or raw:
        raise ValueError(
            'detectors of boxes are exported for the size of their network: leave out the others.'
        )
    return StockDetectorGraph(model, cfg, meta).eval()
