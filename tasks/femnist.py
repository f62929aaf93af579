"""FEMNIST: handwritten characters, one client per writer, from LEAF's JSON files.

Caldas et al., "LEAF: a benchmark for federated settings", 2018.
"""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from typing_extensions import override

from tasks import cache
from tasks.task import ClassificationTask, ClientData, DataError, TaskData
from tff_gs.configuration import option

if TYPE_CHECKING:
    import tensorflow_federated as tff

CLASSES = 62
IMAGE_SHAPE = (28, 28, 1)

_PIXELS = 28 * 28
_CACHE_VERSION = 1
_SPLITS = ("train", "test")


class _Writer(NamedTuple):
    pixels: np.ndarray  # float32 [n, 784]
    labels: np.ndarray  # int32 [n]


class Femnist(ClassificationTask):
    """Handwritten characters, a client per writer (LEAF JSON in data_dir).

    The clients are the first `clients` writers, in the order of the training files
    by name and of the writers in them, that have at least `min_examples` training
    examples. The test data are those of these writers only. Pixels are as LEAF gives
    them, white = 1.0: features are float32 [n, 28, 28, 1]. The model is the CNN of
    Han, Wang, Leung, ICDCS 2020, section V, of which the fewest examples are too.
    """

    data_dir: str = option(
        help="the LEAF directory that holds train/ and test/", is_path=True
    )
    cache_dir: str | None = option(
        default=None,
        help="where to keep the compact form of the data",
        default_text="beside the data, or else in the user's cache directory",
        is_path=True,
    )
    clients: int | None = option(
        default=None,
        help="clients to take of those that exist",
        default_text="every writer",
        at_least=1,
    )
    min_examples: int = option(
        default=100,
        help="the fewest training examples of a writer that takes part",
        at_least=1,
    )

    @override
    def check_files(self) -> None:
        for split in _SPLITS:
            _files(pathlib.Path(self.data_dir) / split)

    @override
    def load(self, *, seed: int = 0) -> TaskData:
        del seed  # Nothing is drawn.
        arrays = self._read()
        chosen = self._choose(arrays["train_counts"])
        train = _unpack(arrays, "train", chosen)
        test = _concatenate(_unpack(arrays, "test", chosen))
        if not len(test.labels):
            raise DataError(
                f"Expected test examples of the {len(chosen)} chosen writers in "
                f"{pathlib.Path(self.data_dir) / 'test'}, found none."
            )
        clients = tuple(
            ClientData(str(arrays["writers"][writer]), *_as_images(examples))
            for writer, examples in zip(chosen, train, strict=True)
        )
        return TaskData(clients, ClientData("test", *_as_images(test)))

    def _read(self) -> cache.Arrays:
        """What `_pack` gives, of the files or of their compact form."""
        data_dir = pathlib.Path(self.data_dir)
        files = {split: _files(data_dir / split) for split in _SPLITS}
        return cache.load_or_build(
            lambda: _pack(files),
            name="femnist",
            version=_CACHE_VERSION,
            data_dir=data_dir,
            sources=[path for split in _SPLITS for path in files[split]],
            cache_dir=self.cache_dir,
        )

    def _choose(self, counts: np.ndarray) -> np.ndarray:
        """The numbers of the writers that take part, by how many examples each has."""
        eligible = np.flatnonzero(counts >= self.min_examples)
        if not len(eligible):
            raise ValueError(
                f"Expected writers with at least {self.min_examples} training examples "
                f"in {self.data_dir}, found at most {counts.max()}."
            )
        clients = len(eligible) if self.clients is None else self.clients
        if clients > len(eligible):
            raise ValueError(
                f"Expected at most {len(eligible)} clients, the writers with at least "
                f"{self.min_examples} training examples in {self.data_dir}, found "
                f"{clients}."
            )
        return eligible[:clients]

    @override
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        from tasks import cnn

        return cnn.paper_cnn(IMAGE_SHAPE, CLASSES, seed)


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
    # What begins with a dot is of the system or of an archive, such as "._a.json".
    found = directory.glob("*.json")
    files = sorted(path for path in found if not path.name.startswith("."))
    if not files:
        raise DataError(f"Expected LEAF's .json files in {directory}, found none.")
    return files


def _pack(files: dict[str, list[pathlib.Path]]) -> cache.Arrays:
    """Reads and checks all files; what `_unpack` reverses, to the bit."""
    splits = {split: _read_split(files[split]) for split in _SPLITS}
    _check_same_writers(splits["train"], splits["test"], files)
    names = list(splits["train"])
    arrays = {"writers": np.array(names)}
    for split in _SPLITS:
        writers = [splits[split][name] for name in names]
        pixels, labels = _concatenate(writers)
        codes, palette = _encode(pixels)
        arrays[f"{split}_counts"] = np.array([len(w.labels) for w in writers])
        arrays[f"{split}_labels"] = labels.astype(np.uint8)
        arrays[f"{split}_pixels"] = codes
        arrays[f"{split}_palette"] = palette
    return arrays


def _unpack(arrays: cache.Arrays, split: str, chosen: np.ndarray) -> list[_Writer]:
    ends = np.cumsum(arrays[f"{split}_counts"])
    starts = ends - arrays[f"{split}_counts"]
    pixels, labels = arrays[f"{split}_pixels"], arrays[f"{split}_labels"]
    palette = arrays[f"{split}_palette"]
    writers = []
    for writer in chosen:
        rows = slice(starts[writer], ends[writer])
        writers.append(
            _Writer(_decode(pixels[rows], palette), labels[rows].astype(np.int32))
        )
    return writers


def _encode(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels as uint8 and the float32 [256] that each stands for, if exact.

    LEAF writes k/255 with a few decimals, so a palette of 256 floats gives
    the very values back. Other pixels stay float32, with an empty palette.
    """
    codes = np.rint(pixels * 255).astype(np.uint8)
    palette = np.zeros(256, np.float32)
    palette[codes] = pixels
    if np.array_equal(palette[codes].view(np.int32), pixels.view(np.int32)):
        return codes, palette
    return pixels, np.zeros(0, np.float32)


def _decode(codes: np.ndarray, palette: np.ndarray) -> np.ndarray:
    return palette[codes] if len(palette) else codes


def _as_images(writer: _Writer) -> tuple[np.ndarray, np.ndarray]:
    return writer.pixels.reshape(-1, *IMAGE_SHAPE), writer.labels


def _concatenate(writers: list[_Writer]) -> _Writer:
    return _Writer(
        np.concatenate([writer.pixels for writer in writers]),
        np.concatenate([writer.labels for writer in writers]),
    )


def _check_same_writers(
    train: dict[str, _Writer],
    test: dict[str, _Writer],
    files: dict[str, list[pathlib.Path]],
) -> None:
    for here, there, split in ((train, test, "test"), (test, train, "train")):
        missing = sorted(here.keys() - there.keys())
        if missing:
            raise DataError(
                f"Expected the writers of train/ and test/ to be the same, found that "
                f"{files[split][0].parent} lacks {missing[0]!r} ({len(missing)} in "
                "all)."
            )


def _read_split(files: list[pathlib.Path]) -> dict[str, _Writer]:
    writers: dict[str, _Writer] = {}
    for path in files:
        for name, writer in _read_file(path).items():
            if name in writers:
                raise DataError(
                    f"{path}: expected each writer once, found {name!r} again."
                )
            writers[name] = writer
    return writers


def _read_file(path: pathlib.Path) -> dict[str, _Writer]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected whole JSON, found: {error}.") from error
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, found: {error}.") from error
    users, counts, data = _sections(path, content)
    if sorted(users) != sorted(data):
        odd = sorted(set(users) ^ set(data)) or ["a user listed twice"]
        raise DataError(
            f"{path}: expected users and user_data to name the same writers, found a "
            f"difference in {odd[0]!r}."
        )
    return {
        user: _parse_writer(path, user, count, data[user])
        for user, count in zip(users, counts, strict=True)
    }


def _sections(path: pathlib.Path, content: Any) -> tuple[list, list, dict]:
    kinds: dict[str, type] = {"users": list, "num_samples": list, "user_data": dict}
    for key, kind in kinds.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise DataError(
                f"{path}: expected an object with {key!r} as a {kind.__name__}, found "
                "none."
            )
    users, counts, data = (content[key] for key in kinds)
    if not users or not all(isinstance(user, str) for user in users):
        raise DataError(f"{path}: expected 'users' to hold names, found {users!r:.60}.")
    if len(users) != len(counts):
        raise DataError(
            f"{path}: expected a num_samples entry for each of {len(users)} users, "
            f"found {len(counts)}."
        )
    return users, counts, data


def _parse_writer(path: pathlib.Path, user: str, count: object, data: Any) -> _Writer:
    where = f"{path}, user {user!r}"
    for key in ("x", "y"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise DataError(f"{where}: expected a list {key!r}, found none.")
        if len(data[key]) != count:
            raise DataError(
                f"{where}: expected {key!r} to hold num_samples = {count} entries, "
                f"found {len(data[key])}."
            )
    return _Writer(_parse_pixels(where, data["x"]), _parse_labels(where, data["y"]))


def _parse_pixels(where: str, images: list) -> np.ndarray:
    for image in images:
        found = len(image) if isinstance(image, list) else "no list"
        if found != _PIXELS:
            raise DataError(
                f"{where}: expected images of {_PIXELS} pixels, found {found}."
            )
    try:
        pixels = np.array(images, np.float32).reshape(-1, _PIXELS)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where}: expected pixels that are numbers, found: {error}."
        ) from error
    # Negated, so NaN is refused too.
    bad = pixels[~((pixels >= 0) & (pixels <= 1))]
    if bad.size:
        raise DataError(f"{where}: expected pixels in [0, 1], found {bad[0]}.")
    return pixels


def _parse_labels(where: str, labels: list) -> np.ndarray:
    for label in labels:
        if type(label) is not int or not 0 <= label < CLASSES:
            raise DataError(
                f"{where}: expected labels that are integers in 0..{CLASSES - 1}, "
                f"found {label!r}."
            )
    return np.array(labels, np.int32)
