"""Ground, paint and light of the synthetic scenes, against independent computations."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from shapely import MultiPoint, Polygon, contains_xy

from mmdet_ext.datasets.surround_view.ground import Ground, GroundConfig, draw_ground
from mmdet_ext.datasets.surround_view.light import LightConfig, sample_light, shade_ground
from mmdet_ext.datasets.surround_view.paint import (
    PaintConfig,
    coverage,
    paint_ground,
    text_coverage,
)
from mmdet_ext.datasets.surround_view.ranges import check_config
from mmdet_ext.datasets.surround_view.shadows import cast_shadows
from mmdet_ext.datasets.surround_view.texture import blend, bond_anchors, modulate, octaves
from mmdet_ext.datasets.surround_view.view import View

SQUARE = View(256, 256, 0.04)
STRIP = View(96, 300, 0.0326, (2.4, 0.3))
KINDS = list(GroundConfig().kinds)
BOX = np.array([[-0.5, -1.0], [0.5, -1.0], [0.5, 1.0], [-0.5, 1.0]])


def rng_of(*seed):
    return np.random.default_rng(seed)


def make_paint(polygons, role='line', texts=(), row=0):
    return SimpleNamespace(polygons=polygons, texts=list(texts), role=role, row=row)


def make_text(**options):
    return SimpleNamespace(**({'string': 'L', 'centre': np.zeros(2), 'height': 2.0} | options))


def make_box(footprint, height):
    low, high = (np.column_stack([footprint, np.full(4, z)]) for z in (0.0, height))
    faces = [SimpleNamespace(vertices=v) for v in (low, high)]
    return SimpleNamespace(kind='box', faces=faces, footprint=footprint, height=height)


def flat_ground(tone=100, view=SQUARE):
    return Ground(np.full((*view.shape, 3), tone, np.uint8), 'asphalt', 0.0)


def spotless(**options):
    """Paint that covers all, without wear."""
    plain = {'dirt': (0.0, 0.0), 'cracked': 0.0, 'repainted': 0.0, 'states': {'fresh': 1.0}}
    white = {'fresh': (1.0, 1.0), 'line_colours': {'white': 1.0}}
    return PaintConfig(**(plain | white | options))


def light_of(kind, seed=0, **options):
    """A light of one kind on asphalt."""
    indoors = {'asphalt': 1.0} if kind == 'garage' else {'asphalt': 0.0, 'epoxy': 1.0}
    outdoors = {kind: 1.0} if kind != 'garage' else {'day': 1.0}
    config = LightConfig(indoors=indoors, outdoors=outdoors, **options)
    return sample_light(rng_of(seed), config, 'asphalt', 0.0)


@pytest.mark.parametrize('config', [GroundConfig(), PaintConfig(), LightConfig()])
def test_default_configurations_are_possible(config):
    check_config(config)


@pytest.mark.parametrize(
    'config',
    [
        GroundConfig(asphalt_tone=(120.0, 50.0)),
        PaintConfig(fresh=(-0.5, 1.0)),
        LightConfig(outdoors={'day': 0.0}),
        LightConfig(building=1.5),
    ],
)
def test_impossible_configurations_are_refused(config):
    with pytest.raises(ValueError, match='expected'):
        check_config(config)


@pytest.mark.parametrize('view', [SQUARE, STRIP])
@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_ground_is_drawn_for_any_view_and_reproducibly(kind, view):
    config = replace(GroundConfig(), kinds={kind: 1.0})
    ground = draw_ground(rng_of(3), config, view, 0.4)
    assert ground.kind == kind
    assert ground.image.shape == (*view.shape, 3)
    assert ground.image.dtype == np.uint8
    assert 0 <= ground.gloss <= 1
    again = draw_ground(rng_of(3), config, view, 0.4)
    np.testing.assert_array_equal(ground.image, again.image)


def test_epoxy_mirrors_more_than_other_ground():
    gloss = {
        kind: np.mean(
            [
                draw_ground(rng_of(i), replace(GroundConfig(), kinds={kind: 1.0}), STRIP, 0.0).gloss
                for i in range(8)
            ]
        )
        for kind in KINDS
    }
    assert max(gloss, key=gloss.get) == 'epoxy'


@pytest.mark.parametrize('metres_per_pixel', [0.0163, 0.0326])
def test_pavers_have_their_size_in_metres_at_any_resolution(metres_per_pixel):
    view = View(512, 512, metres_per_pixel)
    config = GroundConfig(
        kinds={'bricks': 1.0},
        bonds={'square': 1.0},
        paver_size=(0.2, 0.2),
        joint_width=(0.014, 0.014),
        grain=(0.0, 0.0),
        blotches=(0.0, 0.0),
        askew=0.0,
        checkered=0.0,
    )
    image = draw_ground(rng_of(1), config, view, 0.0).image.mean((0, 2))
    spectrum = np.abs(np.fft.rfft(image - image.mean()))
    frequencies = np.fft.rfftfreq(512, metres_per_pixel)  # per metre
    high = frequencies > 2.5
    peak = frequencies[high][spectrum[high].argmax()]
    harmonic = max(round(peak * 0.2), 1)
    assert peak / harmonic == pytest.approx(5.0, abs=1.5 * frequencies[1])


@pytest.mark.parametrize('bond', ['stack', 'running', 'herringbone', 'basket'])
def test_every_paver_of_a_bond_is_two_neighbouring_cells(bond):
    anchors = bond_anchors(bond, 12)
    cells = {}
    for i, j in np.ndindex(12, 12):
        cells.setdefault(tuple(anchors[:, i, j].tolist()), []).append((i, j))
    inner = {a: c for a, c in cells.items() if min(a) >= 0 and max(a) <= 10}
    assert len(inner) >= 50
    for first, second in inner.values():  # two cells, no more and no fewer
        assert abs(first[0] - second[0]) + abs(first[1] - second[1]) == 1


def test_noise_is_as_strong_as_asked_for_and_fades_below_a_pixel():
    fields = [octaves(rng_of(i), SQUARE, {1.0: 0.3}) for i in range(20)]
    assert np.mean(fields) == pytest.approx(0, abs=0.03)
    assert 0.15 < np.std(fields) < 0.33
    fine = octaves(rng_of(0), SQUARE, {0.01: 1.0})
    assert np.std(fine) == pytest.approx(0.01 / SQUARE.metres_per_pixel, rel=0.05)


@pytest.mark.parametrize('whole', [False, True])
def test_blending_is_linear(whole):
    rng = rng_of(0)
    image = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (40, 30), dtype=np.uint8)
    alpha[:, :7] = 0
    over = rng.integers(0, 256, image.shape, dtype=np.uint8)
    colour = over if whole else np.array([10.0, 200.0, 90.0])
    share = alpha[..., None] / 255
    expected = image * (1 - share) + colour * share
    blend(image, alpha, colour)
    assert np.abs(image - expected).max() <= 1.01


def test_modulation_scales_brightness():
    image = rng_of(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for gain in (0.0, 0.5, 1.0, 1.9):
        field = np.full((20, 20), gain, np.float32)
        expected = np.clip(image * gain, 0, 255)
        assert np.abs(modulate(image, field) - expected).max() <= 1.01


def test_bays_get_a_ground_of_their_own_where_asked_for():
    config = GroundConfig(kinds={'asphalt': 1.0}, bay_kinds={'bricks': 1.0}, paved_bays=0.0)
    bay = BOX * [3.0, 2.0] + [2.5, 0]
    plain = draw_ground(rng_of(8), config, SQUARE, 0.0, [bay])
    paved = draw_ground(rng_of(8), config, SQUARE, 0.0, [bay], paved=True)
    x, y = np.meshgrid(*(g.ravel() for g in SQUARE.grid()))
    inside = contains_xy(Polygon(bay), x, y)
    difference = np.abs(paved.image.astype(float) - plain.image).mean(-1)
    assert difference[inside].mean() > 3 * difference[~inside].mean()


def test_coverage_is_the_area_of_the_polygons_and_none_outside_the_view():
    inside = Polygon(BOX).buffer(0.2)
    across = np.array([[-9.0, 2.0], [9.0, 2.0], [9.0, 2.3], [-9.0, 2.3]])
    outside = BOX + 50.0
    polygons = [np.array(inside.exterior.coords)[:-1], across, outside]
    mask = coverage(SQUARE, polygons)
    area = inside.area + 0.3 * SQUARE.extent[0]
    assert mask.sum() / 255 * SQUARE.metres_per_pixel**2 == pytest.approx(area, rel=0.06)
    assert coverage(SQUARE, []).sum() == 0
    assert coverage(SQUARE, [outside]).sum() == 0


@pytest.mark.parametrize('up', [(0.0, -1.0), (1.0, 0.0), (0.6, 0.8), (-0.28, 0.96)])
def test_letters_stand_upright_are_not_mirrored_and_have_their_height(up):
    up = np.array(up)
    text = make_text(up=up, centre=np.array([0.5, -0.3]))
    area, mask = text_coverage(SQUARE, text)
    rows, columns = np.nonzero(mask > 128)
    pixels = np.stack([columns + area[1].start, rows + area[0].start], -1)
    offsets = SQUARE.to_metres(pixels) - text.centre
    right = np.array([-up[1], up[0]])
    height, width = np.ptp(offsets @ up), np.ptp(offsets @ right)
    assert height == pytest.approx(text.height, abs=0.25)
    assert width < height
    assert (offsets @ up).mean() < -0.1  # the bar of an L is at its foot
    assert (offsets @ right).mean() < -0.05  # and its stem on the left


def test_fresh_paint_covers_the_ground_where_it_is_and_nowhere_else():
    image, state = paint_ground(rng_of(0), spotless(), SQUARE, flat_ground(), [make_paint([BOX])])
    assert state == 'fresh'
    mask = coverage(SQUARE, [BOX])
    assert image[mask == 255].min() > 195
    np.testing.assert_array_equal(image[mask == 0], 100)


def test_faded_paint_differs_from_the_ground_by_the_drawn_contrast():
    for i, tone in enumerate((40, 100, 170)):
        config = spotless(states={'faded': 1.0}, contrast=(10.0, 16.0), flakes=(0.0, 0.0))
        config = replace(config, patchy=0.0)
        paint = [make_paint([BOX])]
        image, state = paint_ground(rng_of(i), config, SQUARE, flat_ground(tone), paint)
        step = np.abs(image[coverage(SQUARE, [BOX]) == 255].astype(float) - tone).mean()
        assert state == 'faded'
        assert 7 < step < 17


def test_paint_of_the_colour_of_the_ground_is_still_seen():
    image, _ = paint_ground(rng_of(0), spotless(), SQUARE, flat_ground(238), [make_paint([BOX])])
    assert np.abs(image[coverage(SQUARE, [BOX]) == 255].astype(float) - 238).mean() > 9


def test_later_paint_lies_on_earlier_paint():
    line = BOX * 0.5
    paint = [make_paint([BOX], 'bay'), make_paint([line])]
    config = spotless(bay_colours={'blue': 1.0})
    image, _ = paint_ground(rng_of(0), config, SQUARE, flat_ground(), paint)
    on_line = coverage(SQUARE, [line]) == 255
    in_bay = (coverage(SQUARE, [BOX]) == 255) & (coverage(SQUARE, [line]) == 0)
    assert image[on_line].min() > 195
    blue, _, red = image[in_bay].mean(0)
    assert blue > red + 60


def test_painting_leaves_the_bare_ground_as_it_is():
    ground = flat_ground()
    paint_ground(rng_of(0), PaintConfig(), SQUARE, ground, [make_paint([BOX])])
    assert (ground.image == 100).all()


def test_the_kind_of_light_follows_the_ground():
    def share(kind):
        lights = [sample_light(rng_of(i), LightConfig(), kind, 0.3) for i in range(120)]
        return np.mean([light.kind == 'garage' for light in lights])

    assert share('grass') == 0
    assert share('epoxy') > 0.85
    assert 0.35 < share('concrete') < 0.75


def test_only_days_have_sun_and_only_dark_scenes_have_lamps():
    for kind in ('day', 'overcast', 'night', 'garage'):
        for seed in range(10):
            light = light_of(kind, seed)
            assert light.kind == kind
            assert (light.sun is not None) == (kind == 'day')
            assert bool(light.lamps) == (kind in ('night', 'garage'))


def test_garage_lamps_are_tubes_in_rows_along_the_axis():
    for seed in range(30):
        config = LightConfig(indoors={'epoxy': 1.0})
        lamps = sample_light(rng_of(seed), config, 'epoxy', 0.5, axis=0.3).lamps
        assert 2 <= len(lamps) <= 10
        for lamp in lamps:
            sides = np.linalg.norm(np.diff(lamp.outline, axis=0), axis=1)
            length, width = max(sides), min(sides)
            assert 1.2 <= length <= 6
            assert 0.1 <= width <= 0.3
            assert 2.2 <= lamp.outline[0, 2] <= 3.5
            assert np.ptp(lamp.outline[:, 2]) == 0
            assert np.linalg.norm(lamp.outline[:, :2].mean(0)) < 8
            along = np.diff(lamp.outline, axis=0)[sides.argmax(), :2]
            turned = (np.arctan2(along[1], along[0]) - 0.3) % (np.pi / 2)
            assert min(turned, np.pi / 2 - turned) == pytest.approx(0, abs=1e-9)
        assert len(Counter(lamp.outline[0, 2] for lamp in lamps)) == 1


def test_distant_lights_are_small_far_all_around_and_fewer_by_night():
    garage, night = (
        [light_of(kind, seed, distant_lights=(0, 24)).distant for seed in range(60)]
        for kind in ('garage', 'night')
    )
    assert 8 < np.mean([len(lights) for lights in garage]) < 16
    assert max(len(lights) for lights in night) <= 6
    outlines = np.array([lamp.outline for lights in garage for lamp in lights])
    centres, distances = outlines.mean(1), np.linalg.norm(outlines.mean(1)[:, :2], axis=1)
    assert (distances > 5).all()
    assert (distances < 20).all()
    assert np.abs((centres[:, :2] / distances[:, None]).mean(0)).max() < 0.15
    assert np.linalg.norm(np.diff(outlines, axis=1), axis=2).max() <= 0.7
    assert not light_of('day', distant_lights=(5, 24)).distant
    assert not light_of('garage', distant_lights=(0, 0)).distant


def test_the_sun_throws_the_outline_of_a_box_onto_the_ground():
    light = replace(light_of('day'), sun=np.array([0.8, -0.4]), cover='none', penumbra=0.0)
    shadow = cast_shadows(rng_of(0), light, SQUARE, [make_box(BOX, 1.5)])
    expected = MultiPoint(np.concatenate([BOX, BOX + 1.5 * light.sun])).convex_hull
    mask = coverage(SQUARE, [np.array(expected.exterior.coords)[:-1]])
    assert np.abs(shadow.astype(int) - mask).mean() < 1
    assert shadow.sum() / 255 * SQUARE.metres_per_pixel**2 == pytest.approx(expected.area, rel=0.06)


def test_shade_is_darker_than_sun_by_the_drawn_share():
    light = replace(light_of('day'), sun=np.array([1.0, 0.0]), cover='none', unevenness=0.0)
    light = replace(light, gain=np.ones(3), shade=np.array([0.5, 0.4, 0.3]), contact=0.0)
    box = make_box(BOX - [3.0, 0.0], 2.0)
    image = shade_ground(rng_of(0), light, SQUARE, flat_ground().image, [box])
    x, y = np.round(SQUARE.to_pixels(np.array([-1.5, 0.0]))).astype(int)
    np.testing.assert_allclose(image[y, x], [50, 40, 30], atol=2)
    x, y = np.round(SQUARE.to_pixels(np.array([3.0, 3.0]))).astype(int)
    np.testing.assert_allclose(image[y, x], 100, atol=2)


@pytest.mark.parametrize('kind', ['day', 'overcast', 'night', 'garage'])
def test_the_ground_is_dark_beside_and_under_things_in_any_light(kind):
    light = replace(light_of(kind, 2), casts=[], headlights=False, cover='none')
    bare = shade_ground(rng_of(5), light, SQUARE, flat_ground().image, [])
    beside = shade_ground(rng_of(5), light, SQUARE, flat_ground().image, [make_box(BOX, 0.01)])
    ratio = beside.astype(float) / np.maximum(bare, 1)
    x, y = np.round(SQUARE.to_pixels(np.array([[0.6, 0.0], [4.0, 4.0]]))).astype(int).T
    assert (ratio[y[0], x[0]] < 0.9).all()
    np.testing.assert_allclose(ratio[y[1], x[1]], 1, atol=0.02)


def test_nights_are_darker_than_days():
    def brightness(kind):
        lights = (light_of(kind, seed) for seed in range(12))
        images = [
            shade_ground(rng_of(1), s, STRIP, flat_ground(view=STRIP).image, []) for s in lights
        ]
        return np.mean(images)

    assert brightness('night') < 0.75 * brightness('overcast')


def test_shading_is_reproducible_and_leaves_its_input_as_it_is():
    ground = flat_ground()
    for kind in ('day', 'night', 'garage'):
        light = light_of(kind, 4)
        first, second = (
            shade_ground(rng_of(7), light, SQUARE, ground.image, [make_box(BOX, 1.5)])
            for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)
    assert (ground.image == 100).all()
