"""One scene: geometry to picture and labels."""

import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import ParkingImage
from mmdet_ext.datasets.surround_view.config import SceneConfig, sample_view
from mmdet_ext.datasets.surround_view.finish import draw_ego, finish_picture
from mmdet_ext.datasets.surround_view.ground import draw_ground
from mmdet_ext.datasets.surround_view.labels import make_labels
from mmdet_ext.datasets.surround_view.layout import Layout, sample_layout
from mmdet_ext.datasets.surround_view.light import sample_light, shade_ground
from mmdet_ext.datasets.surround_view.objects import Placed, place_objects
from mmdet_ext.datasets.surround_view.paint import paint_ground
from mmdet_ext.datasets.surround_view.ranges import draw
from mmdet_ext.datasets.surround_view.rig import sample_rig
from mmdet_ext.datasets.surround_view.sight import Scene
from mmdet_ext.datasets.surround_view.surround import overhead, stitch
from mmdet_ext.datasets.surround_view.view import View

_CANVAS_MARGIN = 0.04  # of the view's longer side: calibration errors show a little more ground


def render_scene(rng: np.random.Generator, config: SceneConfig) -> tuple[np.ndarray, ParkingImage]:
    """Render a random parking scene as a surround view shows it.

    Args:
        rng: Source of all randomness: the same state gives the same scene.
        config: What scenes are drawn from.

    Returns:
        The image (BGR, uint8, shape ``(height, width, 3)``) and its labels, ``file_name`` empty.

    Raises:
        ValueError: The configuration leaves no room for a scene.
    """
    view = sample_view(rng, config.view)
    layout = sample_layout(rng, config.layout, view)
    objects = place_objects(rng, config.objects, layout)
    scene, tags = build_scene(rng, config, view, layout, objects)
    if config.rig is None:
        rig = None
        image, hidden = overhead(scene, view, draw(rng, config.overhead_height))
    else:
        rig = sample_rig(rng, config.rig, layout.ego)
        image, hidden = stitch(rng, config.camera, scene, view, rig)
    image = finish_picture(rng, config.finish, view, image)
    ego = draw_ego(rng, config.finish, view, image, layout.ego)
    view.fill(hidden, ego, 255)
    return image, make_labels(layout, objects, view, rig, hidden, tags)


def build_scene(
    rng: np.random.Generator,
    config: SceneConfig,
    view: View,
    layout: Layout,
    objects: list[Placed],
) -> tuple[Scene, dict[str, str]]:
    """Everything that the cameras look at.

    Args:
        rng: Source of randomness.
        config: What scenes are drawn from.
        view: The surround view.
        layout: Where things are.
        objects: What stands on the ground.

    Returns:
        The scene, and its ``light``, ``ground`` and ``marking`` state by name.
    """
    canvas = view.padded(round(_CANVAS_MARGIN * max(view.shape)))
    solids = [placed.solid for placed in objects]
    bays = [row.outline() for row in layout.rows]
    paved = any(row.style == 'band' for row in layout.rows)  # only other paving bounds their slots
    ground = draw_ground(rng, config.ground, canvas, layout.axis, bays, paved)
    image, marking = paint_ground(rng, config.paint, canvas, ground, layout.paint)
    light = sample_light(rng, config.light, ground.kind, ground.gloss, layout.axis)
    image = shade_ground(rng, light, canvas, image, solids)
    gloss = max(ground.gloss, light.wet)
    tags = {'light': light.kind, 'ground': ground.kind, 'marking': marking}
    return Scene(image, canvas, solids, light.lamps, light.distant, gloss), tags
