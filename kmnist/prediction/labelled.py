"""Pictures with their classes, in any form that a data set may have."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kmnist.config import TrainConfig
from kmnist.data import DATASETS, DataSpec, Images, Labels, held_out_indices, load_dataset
from kmnist.data.classes import as_class, numbers_by_name, read_classes
from kmnist.data.forms import Found, Part, PicturePart, find_form
from kmnist.data.forms.found import TEST, TRAIN, WHOLE, listed
from kmnist.data.load import AUTO, is_path
from kmnist.data.own import name_of
from kmnist.data.reading import Reading
from kmnist.errors import DataError, PictureError
from kmnist.network import Config, SavedNetwork
from kmnist.prediction.decoding import in_batches, prepare
from kmnist.prediction.picture import Picture


@dataclass(frozen=True)
class Labelled:
    """Pictures with their classes.

    Attributes:
        images: those that could be read, in the form of the training images.
        spec: of their data set; of pictures of your own, named as their folder or table.
        split: of the data set; of pictures of your own, ``pictures``.
        source: where they came from.
        unread: of the others the name, and why.
    """

    images: Images
    spec: DataSpec
    split: str
    source: str
    unread: list[tuple[str, str]]


def find_labelled(
    name: str,
    split: str,
    data_dir: Path,
    saved: SavedNetwork,
    *,
    raw: bool = False,
    leave_out: Collection[str] = (),
) -> Labelled:
    """What a model is to be measured on: a split of a data set, or pictures of your own.

    Args:
        name: of a data set, or a path of any form in ``kmnist.data.forms``.
        split: of a data set: ``test``, ``train`` or ``valid``, the last two as the model's own training split it.
        data_dir: where the files of a data set known by name are.
        saved: the model.
        raw: take pictures of your own as they are.
        leave_out: labels of your own pictures that are not read, because the model does not know them.

    Raises:
        DataError: the data set cannot be had, or has other classes or another shape than the model.
        PictureError: none of the pictures can be read.
    """
    reading = _reading(saved.config)
    if name not in (AUTO, *DATASETS) and is_path(name):
        found = find_form(Path(name))
        if name_of(found, Path(name)) != saved.spec.title:
            return read_labelled(found, Path(name), split, saved.spec, reading, raw=raw, leave_out=leave_out)
        data = load_dataset(name, data_dir, **reading)
        if data.spec.digests != saved.spec.digests:  # of the same name, but not what the model was trained on
            return read_labelled(found, Path(name), split, saved.spec, reading, raw=raw, leave_out=leave_out)
    else:
        data = load_dataset(name, data_dir)
    here, there = (([label.text for label in spec.classes], spec.shape) for spec in (data.spec, saved.spec))
    if here != there:
        raise DataError(
            f"{data.spec.title} has {len(here[0])} classes and images of {here[1]}; the model was trained on "
            f"{saved.spec.title}, with {len(there[0])} and {there[1]}: measure it on data with the same classes"
        )
    if split == TEST:
        images = data.test
    else:
        valid = held_out_indices(data.train, saved.config.splits)
        images = data.train[valid if split == "valid" else np.setdiff1d(np.arange(len(data.train)), valid)]
    if not len(images):
        fractions = ", ".join(f"{fraction:g} (seed {seed})" for fraction, seed in saved.config.splits)
        raise DataError(f"split={split}: the model was trained with valid_fraction={fractions}, which leaves none")
    return Labelled(images, data.spec, split, data.source, [])


def read_labelled(
    found: Found,
    path: Path,
    split: str,
    spec: DataSpec,
    reading: Reading,
    *,
    raw: bool = False,
    leave_out: Collection[str] = (),
) -> Labelled:
    """Read all pictures of a split; only their training form, of ``spec.shape``, is kept in memory.

    Args:
        found: what lies at the path.
        path: where it is.
        split: is read where there are splits; else all.
        spec: of the data whose classes the pictures have.
        reading: how files are read.
        raw: take pictures as they are: of the training images' shape, light on dark. Arrays are always taken so.
        leave_out: labels whose pictures are not read.

    Raises:
        DataError: it has no such split, or images of another shape.
        PictureError: it names classes that there are not, or none of its pictures can be read.
    """
    part = _split_of(found, split, path)
    chosen, numbers = _numbers(part, spec, found, reading, path, {as_class(label) for label in leave_out})
    if not isinstance(part, PicturePart):
        pixels = part.read(chosen, reading).pixels
        if pixels.shape[1:] != spec.shape:
            raise DataError(
                f"{path} has images of {pixels.shape[1:]}; the model was trained on {spec.title}, with {spec.shape}: "
                "measure it on images of that shape"
            )
        return Labelled(Images(pixels, numbers), _own(spec, path), "pictures", str(path.resolve()), [])
    kept, labels, unread = [np.zeros((0, *spec.shape), np.uint8)], [np.zeros(0, np.int64)], list[tuple[str, str]]()
    at = 0
    for batch in in_batches(Picture(name, item) for name, item in part.items(chosen)):
        prepared = prepare(batch, spec, raw)
        good = np.asarray([not error for error in prepared.errors])
        kept.append(prepared.images[good])
        labels.append(numbers[at : at + len(batch)][good])
        unread += [(name, error) for name, error in zip(prepared.names, prepared.errors) if error]
        at += len(batch)
    images = Images(np.concatenate(kept), np.concatenate(labels))
    if not len(images):
        first = f"; the first: {unread[0][0]}: {unread[0][1]}" if unread else ""
        raise PictureError(f"{path}: none of its {len(unread):,} pictures can be read{first}")
    return Labelled(images, _own(spec, path), "pictures", str(path.resolve()), unread)


def _reading(config: Config) -> Reading:
    """How the data that a model was trained on were read."""
    return (config if isinstance(config, TrainConfig) else config.members[0]).reading


def _own(spec: DataSpec, path: Path) -> DataSpec:
    return replace(spec, name=path.resolve().stem, title=path.resolve().name, digests={}, official=False)


def _split_of(found: Found, split: str, path: Path) -> Part:
    parts = found.parts
    if WHOLE in parts:
        return parts[WHOLE]
    if split in parts:
        return parts[split]
    if split == TEST and len(parts) == 1 and TRAIN in parts:
        return parts[TRAIN]
    raise DataError(f"{path} has no split {split}; it has {', '.join(parts)}")


def _numbers(
    part: Part, spec: DataSpec, found: Found, reading: Reading, path: Path, leave_out: Collection[str]
) -> tuple[Labels, Labels]:
    """Which pictures are read, by their places, and the model's numbers of their classes, by their names."""
    known = numbers_by_name(spec.classes)
    classes = read_classes(found.folder) or found.classes
    if isinstance(part.labels, list):
        named = part.labels
    elif classes is not None and all(0 <= number < len(classes) for number in set(part.labels.tolist())):
        named = [classes[number].text for number in part.labels.tolist()]
    else:
        first = max(reading.get("first_label", -1), 0)
        named = [str(number if str(number) in known else number - first) for number in part.labels.tolist()]
    named = [as_class(name) for name in named]
    if unknown := sorted(set(named) - known.keys() - set(leave_out)):
        there = listed([repr(name[:80]) for name in unknown])
        raise PictureError(
            f"{path}: {there} is none of the classes of {spec.title}, which are: {', '.join(spec.names[:12])}; to "
            f"measure on the others: --leave-out {unknown[0][:80]}"
        )
    chosen = [place for place, name in enumerate(named) if name not in leave_out]
    if not chosen:
        raise PictureError(f"{path}: --leave-out leaves no picture")
    return np.array(chosen, np.int64), np.array([known[named[place]] for place in chosen], np.int64)
