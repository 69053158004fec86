"""The fisheye cameras and the stitched view, against formulas written again here."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmdet_ext.datasets.surround_view.cameras import Camera, interpolated, onto_ground
from mmdet_ext.datasets.surround_view.light import Lamp
from mmdet_ext.datasets.surround_view.rig import RigConfig, sample_rig
from mmdet_ext.datasets.surround_view.sight import Scene, look_from
from mmdet_ext.datasets.surround_view.solids import Face, Solid
from mmdet_ext.datasets.surround_view.surround import CameraConfig, stitch
from mmdet_ext.datasets.surround_view.view import View

EGO = SimpleNamespace(half_length=2.3, half_width=0.95)
CLEAN = CameraConfig(*[(0, 0)] * 5)


def make_camera(**options):
    defaults = dict(
        position=np.array([0.3, -1.0, 0.9]), yaw=0.4, pitch=0.7, roll=0.05, focal=150.0,
        size=(480, 360), distortion=(-0.02, 0.003),
    )  # fmt: skip
    return Camera(**defaults | options)


def independent_projection(camera, points):
    """Kannala and Brandt's model by rotation matrices in a right-handed frame (y mirrored, so up)."""
    mirror = np.diag([1, -1, 1])
    relative = (points - camera.position) @ mirror
    turned = Rotation.from_euler('z', camera.yaw).apply(relative)  # heading to x
    turned = Rotation.from_euler('y', -camera.pitch).apply(turned)  # optical axis to x
    forward, right, down = turned[:, 0], -turned[:, 1], -turned[:, 2]
    theta = np.arccos(forward / np.linalg.norm(turned, axis=1))
    k1, k2 = camera.distortion
    radius = camera.focal * (theta + k1 * theta**3 + k2 * theta**5)
    around = np.arctan2(down, right) - camera.roll
    image = radius[:, None] * np.stack([np.cos(around), np.sin(around)], -1)
    return image + (np.array(camera.size) - 1) / 2


def test_points_appear_where_the_lens_model_puts_them():
    points = np.random.default_rng(0).uniform([-6, -6, 0], [6, 6, 0.8], (200, 3))
    camera = make_camera()
    np.testing.assert_allclose(
        camera.project(points), independent_projection(camera, points), atol=1e-6
    )


def test_a_camera_that_looks_straight_down_measures_angles():
    camera = make_camera(position=np.array([0, 0, 1.0]), pitch=np.pi / 2, roll=0, distortion=(0, 0))
    middle = (np.array([480, 360]) - 1) / 2
    for metres in (0.2, 1, 4):
        pixel = camera.project(np.array([0, metres, 0.0]))
        assert np.linalg.norm(pixel - middle) == pytest.approx(150 * np.arctan(metres))


def test_the_ground_seen_through_a_pixel_appears_at_that_pixel():
    camera = make_camera()
    points = np.random.default_rng(1).uniform(-5, 5, (300, 2)) + camera.position[:2]
    pixels = camera.project(np.concatenate([points, np.zeros((300, 1))], 1))
    np.testing.assert_allclose(camera.ground(pixels), points, atol=2e-3)


def test_maps_are_exact_to_a_centimetre_out_to_five_metres():
    camera, window = make_camera(), (31, 60, 450, 341)
    x, y = np.meshgrid(np.arange(31, 450), np.arange(60, 341))
    exact = camera.ground(np.stack([x, y], -1))
    near = np.linalg.norm(exact - camera.position[:2], axis=-1) < 5
    error = np.linalg.norm(np.stack(camera.ground_map(window), -1) - exact, axis=-1)
    assert near.sum() > 30_000
    assert error[near].max() < 0.01


def test_interpolation_is_exact_for_linear_functions_up_to_the_border():
    values = interpolated(lambda pixels: pixels @ np.array([[2.0], [3.0]]), (13, 7))
    x, y = np.meshgrid(np.arange(13), np.arange(7))
    np.testing.assert_allclose(values[0], 2 * x + 3 * y, atol=1e-5)


def test_height_carries_things_away_from_the_camera():
    eye = np.array([1.0, 0, 1.0])
    np.testing.assert_allclose(onto_ground(np.array([2.0, 0, 0.5]), eye), [3, 0])
    np.testing.assert_allclose(onto_ground(np.array([2.0, 0, 0]), eye), [2, 0])


def test_every_place_around_the_car_is_shown_and_shares_sum_to_one():
    rig = sample_rig(np.random.default_rng(0), RigConfig(), EGO)
    points = np.random.default_rng(1).uniform(-6, 6, (2000, 2))
    around = points[(np.abs(points) > [EGO.half_width, EGO.half_length]).any(1)]
    np.testing.assert_allclose(rig.weights(around).sum(-1), 1, atol=1e-12)
    ahead, right, behind, left = [0, -4], [3, 0], [0, 4], [-3, 0]
    shares = rig.weights(np.array([ahead, right, behind, left], float))
    np.testing.assert_allclose(shares, np.eye(4))


@pytest.mark.parametrize('seed', range(4))
def test_a_painted_dot_appears_within_half_a_pixel_of_where_it_is_labelled(seed):
    """With calibration errors; the position comes from the stitched pixels alone."""
    rng = np.random.default_rng(seed)
    rig = sample_rig(rng, RigConfig(angle_error=(0.8, 0.8), image_width=(640, 640)), EGO)
    view = View(512, 512, 0.02)
    canvas = view.padded(20)
    dots = np.array([[-2.5, -1], [2.2, 0.5], [0.3, -3.6], [-0.5, 3.5], [1.9, 1.6]])
    ground = np.zeros((*canvas.shape, 3), np.uint8)
    turn = np.linspace(0, 2 * np.pi, 40)[:, None]
    for dot in dots:
        canvas.fill(
            ground, dot + 0.12 * np.concatenate([np.cos(turn), np.sin(turn)], 1), (255,) * 3
        )
    image, hidden = stitch(rng, CLEAN, Scene(ground, canvas), view, rig)
    assert not hidden.any()
    seen, camera = rig.seen_at(dots)
    moved = []
    for dot, label, i in zip(dots, seen, camera, strict=True):
        flat = np.append(dot, 0)[None]
        again = independent_projection(rig.cameras[i], flat)
        unwarped = rig.believed[i].ground(again)[0]
        np.testing.assert_allclose(label, unwarped, atol=2e-3)
        x, y = np.round(view.to_pixels(label)).astype(int)
        patch = image[y - 14 : y + 15, x - 14 : x + 15, 0].astype(float)
        grid = np.mgrid[-14:15, -14:15]
        centroid = (patch * grid).sum((1, 2))[::-1] / patch.sum() + [x, y]
        assert np.linalg.norm(centroid - view.to_pixels(label)) < 0.5
        moved.append(np.linalg.norm(label - dot) / view.metres_per_pixel)
    assert max(moved) > 1  # calibration errors do move things


def test_what_stands_on_the_ground_hides_what_is_behind_it():
    view = View(200, 200, 0.05)
    wall = np.array([[2, -1, 0], [2, 1, 0], [2, 1, 0.5], [2, -1, 0.5]], float)
    face = Face(wall, (9, 99, 199), np.array([-1.0, 0, 0]))
    solid = Solid('wall', [face], wall[:2, :2], 0.5)
    scene = Scene(np.full((200, 200, 3), 50, np.uint8), view, [solid])
    layer = look_from(scene, np.array([0, 0, 1.0]))
    image, hidden = layer[..., :3], layer[..., 3]
    ys, xs = np.nonzero(hidden)
    metres = view.to_metres(np.stack([xs, ys], -1))
    assert metres[:, 0].min() == pytest.approx(2, abs=0.05)
    assert metres[:, 0].max() == pytest.approx(4, abs=0.08)
    assert tuple(image[100, 160]) == (9, 99, 199)
    assert (image[hidden == 0] == 50).all()
    behind = look_from(scene, np.array([5, 0, 1.0]))
    assert (behind[..., :3] == 50).all()  # the face looks the other way
    assert cv2.countNonZero(hidden) > 0


def test_a_glossy_floor_draws_a_distant_light_into_a_streak_that_runs_away_from_the_eye():
    view, eye = View(900, 900, 0.02), np.array([-8.0, 2.0, 1.0])
    lit = np.array([[1.1, 4.9, 2], [1.1, 5.1, 2], [0.9, 5.1, 2], [0.9, 4.9, 2]])
    ground = np.full((900, 900, 3), 50, np.uint8)
    scene = Scene(ground, view, distant=[Lamp(lit, (255.0, 0.0, 255.0), 1.0)], gloss=0.5)
    glare = look_from(scene, eye)[..., :3].astype(int) - 50
    assert (glare[..., 1] == 0).all()
    ys, xs = np.nonzero(glare[..., 0])
    along = view.to_metres(np.stack([xs, ys], -1)) - eye[:2]
    # The light, 2 m high, 9 m ahead and 3 m aside, is mirrored by the ground a third of the way there.
    mirrored = np.array([9, 3]) / 3
    ray = mirrored / np.linalg.norm(mirrored)
    aside, ahead = along @ [-ray[1], ray[0]], along @ ray
    assert (np.abs(aside) < 0.6 + 0.015 * ahead).all()
    reach = ahead / np.linalg.norm(mirrored)
    assert reach.min() == pytest.approx(0.65, abs=0.15)
    assert reach.max() > 4
    at = view.to_pixels(eye[:2] + mirrored * [[0.5], [1], [3]]).round().astype(int)
    before, there, beyond = glare[at[:, 1], at[:, 0], 0]
    assert before == 0 < beyond < there
    assert look_from(Scene(ground, view, distant=scene.distant), eye)[..., :3].max() == 50
