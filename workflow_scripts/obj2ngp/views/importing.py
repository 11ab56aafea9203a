"""An image set brought in: the same files as a render makes of a model, whatever program the set was made for."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from obj2ngp.common.cameras import field_of_view, transforms
from obj2ngp.common.checks import checked, mapping
from obj2ngp.common.files import UserError, atomic_path, remove
from obj2ngp.common.packing import SUFFIX, atomic_pictures
from obj2ngp.common.settings import AUTO

from .formats import read_set
from .image_sets import Lens
from .kinds import OF_SPLIT, RECORD, SPLITS
from .lens import common_pinhole, object_extent, resampled
from .nerf_synthetic import ANGLE, IMAGE_SUFFIXES
from .picture_files import read_rgba, write_picture
from .pictures import check_view_names
from .posed_images import DataError
from .settings import METHOD
from .silhouettes import BLACK, PLAIN, WHITE, border_shares, holding_box, with_mask, without_background
from .upright import axis_direction, rotation_to_z, up_direction

COLORS = {"white": WHITE, "black": BLACK}
TOLD = 1.05  # growth of a stated box from which on it is worth a warning
SHOWN = 20  # files that a message names


def import_set(name, path, settings, out, threads=1, uses=lambda path: None, pack=False):
    """Bring the image set at `path` in as the views of the object `name`. Raises UserError.

    settings  views.settings.Settings
    uses      is called with each picture and mask that is read
    out       folder for `<split>/` with pictures and their record, and `transforms_<split>.json` beside them
    pack      whether archives take the place of the folders

    Pictures are copied as they are where neither their alpha nor their camera has to change. The world is turned so
    that z is up. The outputs appear whole, each transforms file after its pictures.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        views = _Import(name, read_set(path, settings.kind), settings, pool)
        for file in sorted({file for frame in views.frames for file in (frame.file, frame.mask) if file}):
            uses(file)
        views.write(out, SUFFIX if pack else "")


class _Import:
    """One set on its way: what of it is used, and how its pictures have to change.

    frames    Frames that are used        lenses  the Lens of each        warnings  lines for the user and the record
    pinhole   Lens that all pictures are drawn anew through; None where they keep their own, which is the same for all
    angle     horizontal field of view in radians that they have then
    color     of the background that becomes transparent, or None
    """

    def __init__(self, name, views, settings, pool):
        self.name, self.views, self.settings, self.pool = name, views, settings, pool
        self.warnings, self.frames = [], views.frames
        self._leave_out([f.file for f in self.frames if not f.file.is_file()], "do not exist")
        self._leave_out([f.mask for f in self.frames if f.mask and not f.mask.is_file()], "do not exist")
        looks = list(pool.map(self._look, self.frames))
        self.color = self._background(looks)
        shown = list(pool.map(lambda frame: bool(self._picture(frame)[..., 3].any()), self.frames))
        self._leave_out(
            [f.file for f, any_shown in zip(self.frames, shown) if not any_shown], "show nothing of the object"
        )
        self.lenses = [look.lens for look, any_shown in zip(looks, shown) if any_shown]
        self.pinhole = self._common_pinhole()
        lens = self.pinhole or self.lenses[0]
        self.angle = field_of_view(lens.size[0], lens.focal[0])
        checked({"camera_angle_x": self.angle}, mapping({"camera_angle_x": ANGLE}), views.path)
        up = (
            up_direction(np.stack([f.pose for f in self.frames]))
            if settings.up == AUTO
            else axis_direction(settings.up)
        )
        self.world = np.eye(4)
        self.world[:3, :3] = rotation_to_z(up)
        draw_splits(self.frames, settings, views.path)

    def _warn(self, message):
        self.warnings.append(message)
        print(f"warning: {message}", flush=True)

    def _leave_out(self, files, what):
        """Leave out the frames whose picture or mask is in `files`, or stop, as configured."""
        if not files:
            return
        root = self.views.path if self.views.path.is_dir() else self.views.path.parent
        names = [file.relative_to(root) if root in file.parents else file for file in files]
        shown = ", ".join(map(str, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
        message = f"{self.views.path}: {len(files)} of {len(self.frames)} images {what}: {shown}"
        if self.settings.missing == "error" or len(files) == len(self.frames):
            raise DataError(message)
        self._warn(message)
        left_out = set(files)
        self.frames = [f for f in self.frames if f.file not in left_out and f.mask not in left_out]

    def _look(self, frame):
        """What has to be known of a frame's picture before it is decided how the pictures change."""
        rgba = read_rgba(frame.file)
        height, width = rgba.shape[:2]
        return _Look(frame.lens(width, height), bool(rgba[..., 3].min() < 255), border_shares(rgba, frame.file))

    def _background(self, looks):
        """The color of the background that becomes transparent, None where alpha says what is the object."""
        path, masks = self.views.path, [frame.mask is not None for frame in self.frames]
        if any(masks) and not all(masks):
            raise DataError(f"{self.frames[masks.index(False)].file}: has no mask, but others of the set have")
        if self.settings.background != AUTO:
            return COLORS.get(self.settings.background)
        if any(masks) or any(look.translucent for look in looks):
            return None
        for color, shares in zip(COLORS.values(), zip(*(look.border for look in looks))):
            if np.mean(shares) >= PLAIN:
                return color
        raise DataError(
            f"{path}: its pictures are opaque and show a background, which the field has no model of: name masks"
            " (mask_path), use pictures with alpha, or say what is behind the object (views.background)"
        )

    def _picture(self, frame):
        """(H,W,4) uint8 the picture of a frame in its own camera, transparent but for the object."""
        rgba = read_rgba(frame.file)
        if frame.mask is not None:
            rgba = with_mask(rgba, frame.mask)
        if self.color is not None:
            rgba = without_background(rgba, self.color, frame.file)
        return rgba

    def _common_pinhole(self):
        if self.lenses[0].is_pinhole and all(lens.agrees(self.lenses[0]) for lens in self.lenses):
            return None
        extents = self.pool.map(lambda frame, lens: object_extent(self._picture(frame), lens), self.frames, self.lenses)
        try:
            return common_pinhole(self.lenses, np.stack(list(extents)))
        except DataError as error:
            raise DataError(f"{self.views.path}: {error}") from error

    def write(self, out, suffix):
        """Write all splits into the folder `out`; `suffix` makes archives of their folders."""
        lens = self.pinhole or self.lenses[0]
        own = dict(zip(map(id, self.frames), self.lenses))
        splits = {split: [frame for frame in self.frames if frame.split == split] for split in SPLITS}
        with contextlib.ExitStack() as stack:
            put, folders = {}, {}
            for split, frames in splits.items():
                if not frames:  # nor may those of a former import with other settings be left
                    for left in (split, split + SUFFIX, OF_SPLIT.format(split)):
                        remove(out / left)
                    continue
                folders[split] = folder = stack.enter_context(atomic_pictures(out / (split + suffix)))
                targets = [folder / name for name in view_names(frames)]
                put[split] = list(self.pool.map(self._put, frames, [own[id(frame)] for frame in frames], targets))
                self._refuse_lost(frames, put[split])
            place = self._place(lens, zip(splits["train"], put["train"]))
            for split, folder in folders.items():
                self._write_record(folder / RECORD, split, splits[split], put[split])
        for split, pictures in put.items():
            content = transforms(
                [self.world @ frame.pose for frame in splits[split]],
                [f"./{split}/{picture.name}" for picture in pictures],
                lens.size,
                self.angle,
                lens.center,
                **place,
            )
            with atomic_path(out / OF_SPLIT.format(split)) as temporary:
                temporary.write_text(json.dumps(content, indent=1))

    def _put(self, frame, lens, target):
        """Write the picture of a frame at `target` and its suffix; its _Put."""
        rgba = self._picture(frame)
        if self.pinhole is not None:
            rgba, lens = resampled(rgba, lens, self.pinhole), self.pinhole
        suffix = frame.file.suffix.lower()
        if self.pinhole is None and frame.mask is None and self.color is None and suffix in IMAGE_SUFFIXES:
            shutil.copyfile(str(frame.file), f"{target}{suffix}")
        else:
            suffix = ".png"
            write_picture(target.with_name(f"{target.name}{suffix}"), rgba)
        mask = rgba[..., 3] > 0
        needed = self.views.box is not None and frame.split == "train"
        return _Put(target.name + ("" if suffix == ".png" else suffix), float(mask.mean()), mask if needed else None)

    def _refuse_lost(self, frames, pictures):
        """Raise DataError where a picture shows the object no more, now that it is drawn through the common pinhole."""
        lost = [frame.file.name for frame, picture in zip(frames, pictures) if not picture.coverage]
        if lost:
            words = "{}: nothing of the object is left in {} pictures, as its lenses have them drawn anew: {}"
            raise DataError(words.format(self.views.path, len(lost), ", ".join(lost[:SHOWN])))

    def _place(self, lens, training):
        """What the transforms files say of where the object lies; nothing where the trainer has to find out.

        `training` are the pairs of Frame and _Put of the training views, which `lens` shows.
        """
        if self.views.box is None:
            return {}
        corners = np.stack(np.meshgrid(*self.views.box.T), -1).reshape(-1, 3) @ self.world[:3, :3].T
        stated = np.stack([corners.min(0), corners.max(0)])
        silhouettes = [(picture.mask, self.world @ frame.pose) for frame, picture in training]
        box = holding_box(stated, silhouettes, lens.focal[0], lens.center)
        if box is None:
            self._warn(f"{self.views.path}: the stated box does not hold what the views show; they say where it is")
            return {}
        growth = (box[1] - box[0]).max() / (stated[1] - stated[0]).max()
        if growth > TOLD:
            self._warn(f"{self.views.path}: the stated box cuts the object; it is made {growth:.2f} times as large")
        scale = 1 / float((box[1] - box[0]).max())
        return {"aabb_scale": 1, "scale": scale, "offset": (0.5 - box.mean(0) * scale).tolist()}

    def _write_record(self, path, split, frames, pictures):
        """What the views of a split were made from, and how; keys that a render's record has mean the same."""
        record = {
            "object": self.name,
            "split": split,
            "method": METHOD,
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "settings": dataclasses.asdict(self.settings),
            "source": {"path": str(self.views.path), "kind": self.views.kind, "views": len(self.views.frames)},
            "pictures": {picture.name: str(frame.file) for picture, frame in zip(pictures, frames)},
            "background": {None: "none", WHITE: "white", BLACK: "black"}[self.color],
            "pinhole": None if self.pinhole is None else dataclasses.asdict(self.pinhole),
            "normalization": {"scale": 1.0, "translation": [0.0] * 3, "matrix": self.world.tolist()},
            "coverage": [picture.coverage for picture in pictures],
            "warnings": self.warnings,
        }
        path.write_text(json.dumps(record, indent=1))


@dataclasses.dataclass(frozen=True)
class _Look:
    """Of a picture: its Lens, whether some of it is transparent, and its border_shares."""

    lens: Lens
    translucent: bool
    border: tuple


@dataclasses.dataclass(frozen=True)
class _Put:
    """A picture that was written: its name in a transforms file, the object's share of it, and where that is.

    mask  (H,W) bool, kept only of training views whose box is to be checked
    """

    name: str
    coverage: float
    mask: np.ndarray


def view_names(frames):
    """The names of the frames' files in one folder: those that they have, or numbers where these would not do.

    They may collide, be hidden, or look as if they had a suffix already (`a.jpg.png`).
    """
    names = [frame.file.stem for frame in frames]
    try:
        if any(name.lower().endswith(IMAGE_SUFFIXES) for name in names):
            raise UserError("not names of views")
        check_view_names(names, "")
    except UserError:
        return [f"{index:03d}" for index in range(len(names))]
    return names


def draw_splits(frames, settings, path):
    """Give each of `frames` a split where the set does not. Raises DataError naming `path` where too few are left.

    A set without test views gives its validation views for it, and where it has none, views that `settings.seed` draws.
    """
    count = {split: sum(frame.split == split for frame in frames) for split in SPLITS}
    if not any(count.values()):
        for frame in frames:
            frame.split = "train"
    elif not count["test"] and count["val"]:
        for frame in frames:
            frame.split = "test" if frame.split == "val" else frame.split
    training = [frame for frame in frames if frame.split == "train"]
    if not any(frame.split == "test" for frame in frames):
        drawn = max(1, round(len(training) * settings.test_fraction))
        order = np.random.default_rng(settings.seed).permutation(len(training))
        for index in order[:drawn]:
            training[index].split = "test"
    if not any(frame.split == "train" for frame in frames):
        raise DataError(f"{path}: no view is left to train on")
