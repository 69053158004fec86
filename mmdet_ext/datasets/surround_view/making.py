"""Rendering of one split of a set: in parallel, aside, gone on with when it was interrupted."""

import functools
import hashlib
import json
import pickle
import shutil
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from mmdet_ext.datasets.formats.parking_slot_coco import LABEL_KINDS, write_parking_slot_coco
from mmdet_ext.datasets.surround_view.config import SceneConfig
from mmdet_ext.datasets.surround_view.render import render_scene
from mmdet_ext.utils.files import write_whole
from mmdet_ext.utils.parallel import track_map


@dataclass(frozen=True)
class Recipe:
    """What the images of a set depend on besides split and index.

    Attributes:
        preset: Name of the preset.
        config: The preset with all overrides.
        seed: Seed, not negative.
    """

    preset: str
    config: SceneConfig
    seed: int

    @property
    def key(self) -> str:
        """Seed and a short hash of the config: equal for recipes that give the same images."""
        content = json.dumps(asdict(self.config), default=float)
        return f'seed {self.seed}, config {hashlib.sha256(content.encode()).hexdigest()[:8]}'


def scene_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """Randomness of one image of a set, which depends on no other image."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), index])


def make_split(
    out_dir: Path,
    split: str,
    count: int,
    recipe: Recipe,
    num_workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Render ``{out_dir}/{split}/000000.jpg ...`` and write ``{out_dir}/{split}.json``, replacing both.

    Args:
        out_dir: Folder of the set.
        split: Name of the split.
        count: Number of images.
        recipe: What to render.
        num_workers: Processes; by default one per available core.
        overwrite: Render anew what an interrupted call has finished, and replace foreign images.

    Raises:
        ValueError: ``{out_dir}/{split}`` holds files that were not made here.
    """
    scratch = _open_scratch(out_dir, split, recipe, overwrite)
    _make_images(scratch, split, count, recipe, num_workers)
    _write_labels(scratch, split, count, recipe)
    _move_into_place(scratch, out_dir, split)


def _open_scratch(out_dir: Path, split: str, recipe: Recipe, overwrite: bool) -> Path:
    """Folder for an unfinished split: the one that was begun with this recipe, or an empty one."""
    scratch, note = out_dir / f'.{split}.making', out_dir / f'.{split}.making/recipe'
    images, labels = out_dir / split, out_dir / f'{split}.json'
    if scratch.is_dir():
        if not overwrite and note.is_file() and note.read_text() == recipe.key:
            if not (scratch / split).is_dir():  # killed between the two moves into place
                images.rename(scratch / split)
            return scratch
        print(f'Discarding {scratch}, an unfinished set that was begun with other options.')
        shutil.rmtree(scratch)
    elif images.is_dir() and any(images.iterdir()) and not labels.is_file() and not overwrite:
        raise ValueError(
            f'{images} holds files, but there is no {labels.name} beside it: they were not made here; '
            'choose another folder or move them away.'
        )
    (scratch / split).mkdir(parents=True)
    (scratch / 'labels').mkdir()
    note.write_text(recipe.key)
    return scratch


def _make_images(
    scratch: Path, split: str, count: int, recipe: Recipe, num_workers: int | None
) -> None:
    todo = [index for index in range(count) if not _label_path(scratch, index).is_file()]
    make = functools.partial(_make_image, scratch, split, recipe)
    done = count - len(todo)
    for _ in track_map(make, todo, split, num_workers=num_workers, already_done=done):
        pass


def _make_image(scratch: Path, split: str, recipe: Recipe, index: int) -> None:
    """Render and write an image, then its labels: an image is finished when it has labels."""
    image, record = render_scene(scene_rng(recipe.seed, split, index), recipe.config)
    record.file_name = f'{split}/{index:06d}.jpg'
    jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    (scratch / record.file_name).write_bytes(jpeg.tobytes())
    write_whole(_label_path(scratch, index), pickle.dumps(record))


def _label_path(scratch: Path, index: int) -> Path:
    return scratch / f'labels/{index:06d}.pkl'


def _write_labels(scratch: Path, split: str, count: int, recipe: Recipe) -> None:
    records = [pickle.loads(_label_path(scratch, i).read_bytes()) for i in range(count)]
    sizes = sorted({(record.width, record.height) for record in records})
    size = ' to '.join(f'{w} x {h}' for w, h in dict.fromkeys((sizes[0], sizes[-1])))
    description = (
        f'{count} synthetic surround-view parking scenes of preset {recipe.preset}, '
        f'{size} px, {recipe.key}'
    )
    write_parking_slot_coco(scratch / f'{split}.json', records, LABEL_KINDS, description)
    for path in set((scratch / split).iterdir()) - {scratch / r.file_name for r in records}:
        path.unlink()  # the interrupted call was to make more


def _move_into_place(scratch: Path, out_dir: Path, split: str) -> None:
    """Replace a split so that its JSON exists only beside all of its images."""
    (out_dir / f'{split}.json').unlink(missing_ok=True)
    shutil.rmtree(out_dir / split, ignore_errors=True)
    (scratch / split).rename(out_dir / split)
    (scratch / f'{split}.json').rename(out_dir / f'{split}.json')
    shutil.rmtree(scratch)
