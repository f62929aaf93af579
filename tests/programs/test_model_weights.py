"""A model's weights in a file, and out of it."""

import io
import zipfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import programs


def _weights(seed=0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    return tff.learning.models.ModelWeights(
        (normal(3, 2), [normal(2), normal()]), [np.int64(7)]
    )


def test_there_and_back_to_the_bit(tmp_path):
    weights = _weights()
    programs.save_model_weights(tmp_path / "a.npz", weights)
    loaded = programs.load_model_weights(tmp_path / "a.npz", _weights(1))
    tf.nest.assert_same_structure(loaded, weights)
    for found, saved in zip(
        tf.nest.flatten(loaded), tf.nest.flatten(weights), strict=True
    ):
        np.testing.assert_array_equal(found, saved)
        assert found.dtype == saved.dtype
    programs.save_model_weights(tmp_path / "b.npz", loaded)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_reads_them_and_keras_takes_them(tmp_path):
    def build():
        return tf.keras.Sequential(
            [
                tf.keras.layers.Dense(2, input_shape=[3]),
                tf.keras.layers.BatchNormalization(),
            ]
        )

    trained, fresh = build(), build()
    weights = tff.learning.models.ModelWeights.from_model(trained)
    programs.save_model_weights(tmp_path / "weights.npz", weights)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(
            arrays["trainable_0"], trained.layers[0].kernel.numpy()
        )
    like = tff.learning.models.ModelWeights.from_model(fresh)
    loaded = programs.load_model_weights(tmp_path / "weights.npz", like)
    loaded.assign_weights_to(fresh)
    x = np.float32([[1, -2, 3]])
    np.testing.assert_array_equal(fresh(x), trained(x))


def _renamed(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("trainable_9.npy", b"")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[content.index(b"trainable_0") + 140] ^= 1
    path.write_bytes(content)


def _with_first(path, content):
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, its in {**contents, "trainable_0.npy": content}.items():
            archive.writestr(name, its)


def _huge(path):
    """An array whose header asks for 4 TB."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 1000)}
    )
    _with_first(path, content.getvalue())


def _no_header(path):
    _with_first(path, b"\x93NUMPY\x01\x00\x04\x00{(({")


def _short(path):
    content = io.BytesIO()
    np.save(content, np.zeros([3, 2], np.float32))
    _with_first(path, content.getvalue()[:-4])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "file of weights, found .*No such file"),
        (lambda path: path.write_text("no"), "found a damaged"),
        (_cut, "found a damaged"),
        (_flipped, "found a damaged"),
        (_no_header, "found a damaged"),
        (_short, "found a damaged"),
        (_huge, r"found shape \[1000000000, 1000\]"),
        (_renamed, "Expected 4 tensors of the model's, found 5"),
    ],
)
def test_damaged_files(tmp_path, damage, sentence):
    path = tmp_path / "weights.npz"
    programs.save_model_weights(path, _weights())
    damage(path)
    with pytest.raises(ValueError, match=sentence):
        programs.load_model_weights(path, _weights())


def test_weights_of_another_model(tmp_path):
    path = tmp_path / "weights.npz"
    weights = _weights()
    programs.save_model_weights(path, weights)
    others = tff.learning.models.ModelWeights(
        (np.zeros([2, 3], np.float32), weights.trainable[1]), weights.non_trainable
    )
    with pytest.raises(ValueError, match=r"shape \[2, 3\] .*found shape \[3, 2\]"):
        programs.load_model_weights(path, others)
