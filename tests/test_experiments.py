"""The experiments behind the claims about training, in small."""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import math
import sys
import zipfile

import numpy as np
import pytest
import scipy.io

from nmnc_ref import manifold, perturbation, random, training
from nmnc_ref.fast import factored
from nmnc_ref.fast import training as fast_training
from nmnc_ref.feedback import mirror_estimate
from nmnc_ref.nn import convolution, feedforward
from nmnc_ref.nn.activation import relu
from nmnc_ref.nn.dense import Dense
from nmnc_ref.nn.initialisation import dense_network
from paper_checks.claim import REGISTER
from paper_checks.data import images, neural, sequences
from paper_checks.data.dataset import Dataset, Samples
from paper_checks.lab import Lab
from paper_checks.learning.experiments import (
    accuracy,
    cifar,
    cifar_measures,
    course,
    dimension,
    gradient,
    representation,
    scale,
    tasks,
    width,
)
from paper_checks.learning.experiments.accuracy import Learner
from paper_checks.learning.experiments.alignment import LAYERS, Alignment
from paper_checks.learning.experiments.cifar import CifarLearner
from paper_checks.learning.experiments.cifar_alignment import CifarAlignment
from paper_checks.learning.experiments.cifar_width import CifarWidth
from paper_checks.learning.experiments.course import complement, random_subspace
from paper_checks.learning.experiments.dimension import Dimensions
from paper_checks.learning.experiments.gradient import Frozen
from paper_checks.learning.experiments.representation import Resemblance
from paper_checks.learning.experiments.trained import ROUTE, course_of_classifier
from paper_checks.learning.experiments.width import Width

LAB = Lab("numpy", "float32", 0)


def test_every_epoch_has_an_order_of_its_own(monkeypatch):
    orders = []
    monkeypatch.setattr(course, "batches", lambda samples, key, size: orders.append(key.tolist()) or iter(()))
    data, states = course_of_classifier(LAB, "dense", (8,), decay=0.0, seed=0, epochs=3)
    assert len(list(states)) == 1
    assert data.shape == (1, 28, 28)
    assert len({tuple(order) for order in orders}) == 3


def test_a_small_frozen_network_of_each_kind(monkeypatch):
    monkeypatch.setattr(gradient, "EPOCHS", 1)
    for kind, layer in {"dense": 3, "convolutional": 1}.items():
        monkeypatch.setattr(gradient, "LAYERS", (layer,))
        found = Frozen(kind, 0, ((60,) * 3,) * 2).perform(LAB)
        for noise, (known,) in found.items():
            ratio, error, energy, energy_error = known["activity"]
            want = math.sqrt(known["alignment"] * 10 / (10 + known["dimension"] + 1))
            assert abs(ratio - want) < 6 * error, (kind, noise)
            assert 0 < error < 0.1 * ratio
            assert energy_error > 0
            _, _, energy, energy_error = known["weight"]
            want = REGISTER["L1"].measure.__globals__["_norm"](known) ** 2
            assert abs(energy - want) < 6 * energy_error, (kind, noise)


def test_a_small_width():
    found = Width(64, 0, epochs=1).perform(LAB)
    assert set(found) == {
        *("participation ratio", "90 % of variance", "TwoNN", "alignment", "random alignment"),
        *("NMNC", "VNC", "random"),
    }
    for layer in (0, 1):
        assert 1 < found["participation ratio"][layer] < found["90 % of variance"][layer] < 64
        assert found["random alignment"][layer] < 0.25 < found["alignment"][layer]
        assert 10 < found["VNC"][layer] < 40  # E6: 22
        assert found["NMNC"][layer] < found["VNC"][layer]
        assert found["random"][layer] is None


def test_the_cosine_after_each_draw_is_that_of_the_sum(monkeypatch):
    monkeypatch.setattr(width, "CHUNK", 7)
    lab = Lab("numpy", "float64", 0)
    network = dense_network(lab.key("network"), (5, 30, 9, 4), lab.dtype)
    passed = feedforward.forward(network, lab.normal("x", 5), relu)
    J, norm = feedforward.jacobian(network, passed.activity[0], 1, relu), 3.0
    tail = factored.feedforward_tail(network, passed, 1, None, relu)
    run, keys = width.Course(lab, tail, J, norm), random.split(lab.key("noise"), 3)
    got = np.concatenate([run.cosines(key) for key in keys])
    noise = width.SIGMA * np.concatenate([lab.draw(key, 7, 30) for key in keys])
    sums = np.cumsum(tail.antithetic(noise)[:, :, None] * noise[:, None, :], axis=0)
    want = [np.sum(each * J) / (norm * np.linalg.norm(each)) for each in sums]
    assert np.allclose(got, want, rtol=1e-12)


def test_a_short_course_of_alignment():
    found = Alignment(5e-3, 0, epochs=1).perform(LAB)
    before, after = found["course"]
    assert len(before) == len(LAYERS)
    assert all(later > 3 * earlier for earlier, later in zip(before, after, strict=True))
    assert found["end"].pop("uncentred") == after
    for alphas in found["end"].values():
        assert all(later > 3 * earlier for earlier, later in zip(before, alphas, strict=True))


@pytest.mark.parametrize("kind", ["dense", "strided", "padded and pooled"])
def test_mirrors_are_compared_with_their_mean(monkeypatch, kind):
    monkeypatch.setattr(scale, "ROWS", 5)
    monkeypatch.setattr(scale, "DIMENSION", 4)
    geometry = {
        "strided": convolution.Geometry((2, 6, 6), 3, stride=2),
        "padded and pooled": convolution.Geometry((2, 6, 6), 3, padding=1, pool=3, pool_stride=2),
    }
    weight = LAB.normal(f"test: {kind}", 5, *((72,) if kind == "dense" else (2, 3, 3)))
    bias = 0 * LAB.normal("test: bias", 5)
    layer = Dense(weight, bias) if kind == "dense" else convolution.layer(weight, bias, geometry[kind])
    image = LAB.normal("test: image", 2, 72)
    seen = np.einsum("ri,dip->drp", weight.reshape(5, -1), scale._patches(image, layer))
    np.testing.assert_allclose(seen.reshape(2, -1), layer.preactivation(image), atol=1e-5)
    basis = manifold.fit(LAB.normal("test: activity", 30, 72), dimension=4).basis
    found = scale._deviation(LAB, layer, basis)
    assert found["W C"] < 1e-5 * found["size"]
    assert found["W"] > 0.1 * found["size"]
    assert (found["W C, summed over places"] > 0.1 * found["size"]) == (kind != "dense")
    noise = perturbation.on_manifold(LAB.normal("test: coefficients", 20_000, 4), basis, scale.SIGMA)
    drawn = mirror_estimate(layer, layer.preactivation(noise), noise, scale.SIGMA).weight
    z = 2.0 * np.eye(4, dtype=np.float32)
    noise = perturbation.on_manifold(z, basis, scale.SIGMA)
    exact = mirror_estimate(layer, layer.preactivation(noise), noise, scale.SIGMA).weight
    assert np.linalg.norm(drawn - exact) < 0.1 * np.linalg.norm(exact)  # the finite law has the mean of the Gaussian


def test_a_course_perturbs_at_every_interval_alone():
    data = images.digits(LAB)
    layers = dense_network(random.key(0, np), (64, 20, 10), np.float32)
    settings = training.Settings("vnc", dimension=2, fit_every=6, perturb_every=3)
    given = {"route": ROUTE, "settings": settings, "epochs": 1, "batch": 100}
    first, *_, last = course.course(LAB, random.key(1, np), layers, data, **given)
    key = first.key
    for _ in range(4):  # 12 steps; each perturbation, and nothing else, moves the key
        key = random.fold_in(key, 0)
    np.testing.assert_array_equal(last.key, key)


def test_the_complement_is_orthogonal_to_the_manifold():
    basis = LAB.orthonormal("test: basis", 12, 3)
    new = complement(random.key(1, np), basis)
    np.testing.assert_allclose(new.T @ new, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(basis.T @ new, np.zeros((3, 3)), atol=1e-5)


def test_a_control_replaces_every_manifold(monkeypatch):
    data = images.digits(LAB)
    layers = dense_network(random.key(0, np), (64, 20, 10), np.float32)
    settings = training.Settings("nmnc", dimension=2, fit_every=5)
    used = []

    def control(key, basis):
        used.append((key.tolist(), random_subspace(key, basis)))
        return used[-1][1]

    given = {"route": ROUTE, "settings": settings, "epochs": 1, "batch": 100, "control": control}
    *_, state = course.course(LAB, random.key(1, np), layers, data, **given)
    assert len({tuple(key) for key, _ in used}) == 3  # 12 steps, fitted after 5
    np.testing.assert_array_equal(state.bases[0], used[-1][1])
    learned = state.feedback[0]  # of noise in the three subspaces, and in nothing else
    span = np.linalg.qr(np.concatenate([basis for _, basis in used], axis=1))[0]
    assert np.any(learned)
    np.testing.assert_allclose(learned - (learned @ span) @ span.T, 0 * learned, atol=1e-5 * abs(learned).max())


def test_a_random_subspace_has_the_dimension_of_the_manifold_and_not_its_place():
    basis = LAB.orthonormal("test: basis", 12, 3)
    for key in (random.key(1, np), random.key(2, np)):
        new = random_subspace(key, basis)
        np.testing.assert_allclose(new.T @ new, np.eye(3), atol=1e-5)
        assert 1e-2 < np.linalg.norm(basis.T @ new) < 1.7


def small(monkeypatch):
    """Make all tasks small: the digits of UCI, or short memories, few units and short trainings."""
    classifiers = {"dense": (40, 30), "narrow": (20, 20), "convolutional": (30,)}
    for name, task in tasks.TASKS.items():
        network, data = tasks._recurrent(20), images.digits
        if name in classifiers:
            kind = "convolutional" if name == "convolutional" else "dense"
            network = tasks._classifier(kind, *classifiers[name])
        elif name == "rows":
            data = lambda lab: sequences.rows(images.digits(lab))  # noqa: E731
        else:
            data = functools.partial(sequences.memory, steps=4, symbols=3, samples=(400, 50, 60))
        monkeypatch.setitem(
            tasks.TASKS,
            name,
            task._replace(data=data, network=network, epochs=2, dimension=4, fit_every=6),
        )


@pytest.mark.parametrize("task", tasks.TASKS)
def test_learners_of_every_rule_in_small(monkeypatch, task):
    small(monkeypatch)
    found = {rule: Learner(task, rule, 0.02, 0.03, 0).perform(LAB) for rule in (*training.RULES, *accuracy.CONTROLS)}
    settings = tasks.TASKS[task]
    data = settings.data(LAB)
    steps = math.ceil(2 * (data.train.inputs.shape[0] // tasks.BATCH) / settings.perturb_every)
    for rule, result in found.items():
        assert result["diverged"] is None
        assert 0.02 < result["test"] <= 1
        assert ("cosines" in result) == (rule != "backpropagation")
        if rule in (*training.PERTURBING, *accuracy.CONTROLS):
            assert (result["perturbations"], result["passes"]) == (
                steps * settings.samples,
                2 * steps * settings.samples,
            )
            for target in result["feedback"]:
                assert 0 <= target["its part in the manifold"] <= target["mean"] * (1 + 1e-5)
                assert target["mean"] <= target["each"] * (
                    1 + 1e-5
                )  # equal where the target is the same for all inputs
                assert (target["dimension"], target["width"] > 4) == (4, True)
    learned = {str(found[rule]["feedback"]) for rule in (*training.PERTURBING, *accuracy.CONTROLS)}
    assert len(learned) == 4  # each has noise of its own
    assert Learner(task, "vnc", 0.02, 0.03, 1).perform(LAB) != found["vnc"]


def test_feedback_is_compared_with_what_it_estimates(monkeypatch):
    """With as many draws as it takes, the running average is the target, projected or not."""
    small(monkeypatch)
    for name in ("narrow", "convolutional", "rows"):
        task = tasks.TASKS[name]
        data = task.data(LAB)
        settings = training.Settings("nmnc", dimension=4, feedback_rate=1.0, draws=400, samples=8)
        x = data.test.inputs[:8, ...]
        layers = task.network(random.key(1, np), LAB, data)
        state = training.init(
            random.key(2, np), layers, data.train.inputs[:200, ...], route=task.route, settings=settings
        )
        state, _ = training.learn_feedback(state, x, route=task.route, settings=settings)
        for feedback, basis, each in zip(state.feedback, state.bases, task.targets(layers, x), strict=True):
            want = each.mean(axis=0) @ basis @ basis.T
            np.testing.assert_allclose(feedback, want, atol=0.1 * np.linalg.norm(want))


def test_the_learning_rate_of_a_learner_falls_to_zero(monkeypatch):
    small(monkeypatch)
    seen = []
    step = fast_training.step

    @functools.wraps(step)
    def observed(*given, **named):
        seen.append(named["annealing"])
        return step(*given, **named)

    monkeypatch.setattr(fast_training, "step", observed)
    Learner("memory", "vnc", 0.1, 0.1, 0).perform(LAB)
    np.testing.assert_allclose(seen, [1 - index / 12 for index in range(12)])


def test_the_dimension_of_a_learner_may_be_another(monkeypatch):
    small(monkeypatch)
    found = Learner("dense", "nmnc", 0.02, 0.03, 0, dimension=7).perform(LAB)
    assert {target["dimension"] for target in found["feedback"]} == {7}


def test_the_feedback_of_a_learner_may_be_amplified(monkeypatch):
    small(monkeypatch)
    task = tasks.TASKS["crowded"]
    data = task.data(LAB)
    layers, x = task.network(random.key(1, np), LAB, data), data.test.inputs[:5, ...]
    passed, feedbacks = task.route.forward(layers, x), tuple(LAB.normal("test: feedback", 4, 3, 20))
    error = LAB.normal("test: error", 5, 3)
    once, thrice = (
        dataclasses.replace(task.route, gain=gain).credit(layers, x, passed, error, feedbacks)[0] for gain in (1, 3)
    )
    for own, larger in zip(once, thrice, strict=True):
        np.testing.assert_allclose(larger, 3 * own, rtol=1e-5, atol=1e-5)
    found = [Learner("crowded", "nmnc", 0.02, 0.03, 0, gain=gain).perform(LAB)["cosines"] for gain in (1.0, 3.0)]
    assert found[0] != found[1]
    with pytest.raises(TypeError, match="gain"):
        Learner("memory", "nmnc", 0.02, 0.03, 0, gain=3.0).perform(LAB)


def test_a_compiled_learner_is_that_of_numpy(monkeypatch):
    small(monkeypatch)
    want, got = (Learner("dense", "nmnc", 0.005, 0.03, 0).perform(Lab(name, "float32", 0)) for name in ("numpy", "jax"))
    np.testing.assert_allclose(got["cosines"], want["cosines"], atol=1e-3)
    assert got["perturbations"] == want["perturbations"]


def test_a_learner_that_diverges_has_the_accuracy_of_guessing(monkeypatch):
    small(monkeypatch)
    found = Learner("dense", "vnc", 1e6, 0.9, 0).perform(LAB)
    assert (found["validation"], found["test"]) == (0.1, 0.1)
    assert any(sign in found["diverged"] for sign in ("training diverged at step", "rank of at least"))
    with pytest.raises(ValueError, match="learning_rate"):  # a mistake is no divergence
        Learner("dense", "vnc", -1.0, 0.9, 0).perform(LAB)
    task = tasks.TASKS["memory"]._replace(dimension=12)  # which so few sequences do not span
    monkeypatch.setitem(
        tasks.TASKS, "memory", task._replace(data=lambda lab: sequences.memory(lab, steps=2, symbols=2))
    )
    found = Learner("memory", "nmnc", 0.1, 0.1, 0).perform(LAB)
    assert (found["test"], found["diverged"][:27]) == (0.5, "activity: expected rank of ")


def test_dimensions_of_a_small_classifier(monkeypatch):
    monkeypatch.setattr(dimension, "EPOCHS", 1)
    monkeypatch.setattr(dimension, "HIDDEN", {"dense": (64, 48, 32)})
    monkeypatch.setattr(dimension, "DIMENSIONS", (1, 4, 16))
    monkeypatch.setattr(dimension, "REPETITIONS", 60)
    found = Dimensions(0).perform(LAB)
    assert set(found) == {"1", "2", "3"}
    for layer in found.values():
        shares = layer["alignments"]
        assert len(shares) == 16
        assert all(0 < a <= b <= 1 for a, b in itertools.pairwise(shares))
        assert {"1", "4", "16"} <= set(layer["ratios"])
        for d, (ratio, error) in layer["ratios"].items():
            want = math.sqrt(shares[int(d) - 1] * 10 / (10 + int(d) + 1))
            assert abs(ratio - want) < 6 * error


RATES = (("backpropagation", 0.05, None), ("nmnc", 0.02, 0.03), ("vnc", 1e6, 0.9))


def test_without_an_end_of_backpropagation_there_is_no_resemblance(monkeypatch):
    small(monkeypatch)
    with pytest.raises(training.Divergence):
        Resemblance((("backpropagation", 1e6, None), *RATES[1:]), 0).perform(LAB)


def recorded(tmp_path, **arrays):
    file = tmp_path / "made up.npz"
    rng = np.random.default_rng(0)
    np.savez(file, **({"stimuli": rng.random((12, 28, 28)), "responses": rng.random((12, 7))} | arrays))
    return file


def test_resemblance_of_small_networks(monkeypatch):
    small(monkeypatch)
    monkeypatch.setitem(tasks.TASKS, "dense", tasks.TASKS["dense"]._replace(data=images.mnist, epochs=1))
    found = Resemblance(RATES, 0).perform(LAB)
    assert set(found) == {"untrained", "nmnc", "chance"}  # the training by VNC diverged
    for measure in representation.MEASURES:
        assert all(-1 <= value < 0.999 for rule in found for value in found[rule][measure])
    assert all(abs(value) < 0.5 for value in found["chance"]["debiased CKA"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"stimuli": np.zeros((12, 784))}, r"expected stimuli \[N, H, W\] or \[N, H, W, 3\], got shape \[12, 784\]"),
        ({"stimuli": np.zeros((12, 9, 9, 4))}, r"got shape \[12, 9, 9, 4\]"),
        ({"stimuli": np.full((12, 28, 28), 255)}, "expected stimuli from 0 to 1, or uint8, got int64, 255.0 to 255.0"),
        ({"stimuli": np.full((12, 28, 28), np.nan)}, "expected finite stimuli, got NaN, infinity"),
        ({"stimuli": np.eye(28, dtype=np.uint8) + np.zeros((12, 1, 1), dtype=np.uint8)}, "got bytes from 0 to 1"),
        ({"stimuli": np.zeros((0, 28, 28))}, "expected finite stimuli, got none"),
        ({"stimuli": np.array(["a"])}, "expected stimuli of real numbers, got <U1"),
        ({"stimuli": np.array([{}], dtype=object)}, "expected an .npz file with stimuli and responses or rdm"),
        ({"stimuli": np.zeros((5, 28, 28)), "responses": np.eye(5)}, "expected at least 10 stimuli, got 5"),
        ({"responses": np.zeros((11, 3))}, r"expected responses \[12, neurons\], two or more, got shape \[11, 3\]"),
        ({"responses": np.ones((12, 1))}, r"two or more, got shape \[12, 1\]"),
        (
            {"responses": np.ones((12, 3))},
            "expected responses that differ between neurons, got equal ones in row 0",
        ),
        ({"responses": 0.1 + np.arange(12)[:, None] + np.array([0, 1e-16, 2e-16])}, "got equal ones in row"),
        ({"responses": np.outer(np.arange(1, 13), [0.3, 0.7, 0.1])}, "that differ in more than scale and offset"),
        ({"stimuli": np.full((12, 28, 28), 0.5)}, "expected stimuli that differ, got the same image 12 times"),
        ({"responses": np.tile(np.arange(4.0), (12, 1))}, "that differ in more than scale and offset"),
        ({"rdm": np.ones(66)}, "stimuli and either responses or rdm, got rdm, responses, stimuli"),
    ],
)
def test_recordings_that_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        neural.recording(recorded(tmp_path, **arrays))


def test_files_that_are_no_recordings(tmp_path):
    file = recorded(tmp_path)
    whole = file.read_bytes()
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(ValueError, match="expected arrays stimuli and either responses or rdm, got images"):
        neural.recording(tmp_path / "other.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    for content in (b"", b"PK", b"no archive", whole[:-100], whole[:200] + bytes(100) + whole[300:]):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"broken\.npz: expected an \.npz file with stimuli"):
            neural.recording(tmp_path / "broken.npz")
    with pytest.raises(ValueError, match=r"one\.npy: expected an \.npz file"):
        neural.recording(tmp_path / "one.npy")
    np.savez_compressed(tmp_path / "deflated.npz", stimuli=np.zeros((12, 28, 28)), responses=np.eye(12))
    with zipfile.ZipFile(tmp_path / "deflated.npz") as archive:
        start = archive.getinfo("stimuli.npy").header_offset + 60
    spoilt = bytearray((tmp_path / "deflated.npz").read_bytes())
    spoilt[start : start + 40] = bytes(255 - value for value in spoilt[start : start + 40])
    (tmp_path / "deflated.npz").write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"deflated\.npz: expected an \.npz file"):
        neural.recording(tmp_path / "deflated.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 784)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("stimuli.npy", header.getvalue())
        archive.writestr("responses.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"huge\.npz: expected an \.npz file"):
        neural.recording(tmp_path / "huge.npz")
    unclosed = b"\x93NUMPY\x01\x00" + (128 - 10).to_bytes(2, "little") + b"{'descr': '<f8', (".ljust(118)
    for content, message in (
        (unclosed, r"one that cannot be read: \w*Error: "),
        (b"no array", r"expected stimuli of real numbers, got \|S8"),
    ):
        with zipfile.ZipFile(tmp_path / "member.npz", "w") as archive:
            archive.writestr("stimuli.npy", content)
            archive.writestr("responses.npy", content)
        with pytest.raises(ValueError, match=r"member\.npz: .*" + message):
            neural.recording(tmp_path / "member.npz")
    with pytest.raises(ValueError, match="expected a file, got something else"):
        neural.recording(tmp_path)
    recording = neural.recording(file)
    file.write_bytes((tmp_path / "other.npz").read_bytes())
    with pytest.raises(ValueError, match="expected the content that it had before"):
        recording.read()
    file.unlink()
    with pytest.raises(ValueError, match="expected the file that was there before"):
        recording.read()


@pytest.mark.parametrize(("scale", "shift"), [(1e300, 0.0), (1e-300, 0.0), (1.0, 1e6)])
def test_recordings_may_have_any_scale_and_shift(tmp_path, scale, shift):
    responses = np.random.default_rng(1).normal(size=(12, 7))
    want, got = (
        neural.recording(recorded(tmp_path, responses=given)).read() for given in (responses, scale * responses + shift)
    )
    np.testing.assert_array_equal(want.stimuli, got.stimuli)
    np.testing.assert_allclose(got.dissimilarities["responses"], want.dissimilarities["responses"], atol=1e-8)


def test_recordings_may_be_dissimilarities(tmp_path):
    stimuli = np.random.default_rng(0).integers(0, 256, (12, 7, 5, 3), dtype=np.uint8)
    pairs = np.arange(66.0)
    square = np.zeros((12, 12))
    square[np.triu_indices(12, 1)] = pairs
    rounded = square + square.T * (1 + 1e-15) + 1e-15 * np.eye(12)
    for rdm in (pairs, square + square.T, rounded):
        np.savez(tmp_path / "rdm.npz", stimuli=stimuli, rdm=rdm)
        found = neural.recording(tmp_path / "rdm.npz").read()
        np.testing.assert_array_equal(found.dissimilarities["rdm"], pairs)
        np.testing.assert_allclose(found.stimuli, stimuli / 255)
    for rdm, message in (
        (square, r"expected rdm symmetric, got 65.0 at \[10, 11\], 0.0 at \[11, 10\]"),
        (square + square.T + np.diag(np.arange(12.0)), r"expected rdm with a diagonal of 0, got 11.0 at \[11, 11\]"),
        (pairs[1:], r"expected rdm \[12, 12\] or \[66\], pairs of 12 stimuli, got shape \[65\]"),
        (np.where(pairs == 3, np.nan, pairs), "expected finite rdm, got NaN"),
        (np.ones(66), "expected rdm that differ between pairs, got 1.0 for all"),
    ):
        np.savez(tmp_path / "rdm.npz", stimuli=stimuli, rdm=rdm)
        with pytest.raises(ValueError, match=message):
            neural.recording(tmp_path / "rdm.npz")


def published(file, stimuli=12, pairs=66, value=0.0, names=("monkey", "human"), **changed):
    """Write a file like the published one."""
    image, rdm = np.dtype([("image", "O")]), np.dtype([("name", "O"), ("RDM", "O")])
    rng = np.random.default_rng(0)
    images = np.array([(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8),) for _ in range(stimuli)], image)
    matrices = np.array([(name, np.arange(pairs) / pairs + value) for name in names], rdm)
    fields = {"stimuli_92objs": images, "RDMs_mIT_hIT_fig1": matrices} | changed
    scipy.io.savemat(file, {name: field for name, field in fields.items() if field is not None})
    return file


def test_the_published_recordings_are_read_as_they_are(tmp_path):
    file = published(tmp_path / "made up.mat")
    found = neural.recording(file).read()
    assert found.stimuli.shape == (12, 9, 9, 3)
    assert set(found.dissimilarities) == {"monkey", "human"}
    whole = file.read_bytes()
    for changed, message in (
        (
            {"stimuli_92objs": None},
            "expected fields stimuli_92objs, with image, and RDMs_mIT_hIT_fig1, with name and RDM",
        ),
        ({"RDMs_mIT_hIT_fig1": np.zeros(3)}, "expected fields stimuli_92objs"),
        ({"pairs": 65}, r"expected monkey \[12, 12\] or \[66\], pairs of 12 stimuli, got shape \[65\]"),
        ({"value": np.nan}, "expected finite monkey, got NaN"),
        ({"value": -0.5}, "expected monkey from 0 to 2, 1 − correlation, got -0.5 to"),
        ({"names": ()}, "expected one or more records of distinct names in RDMs_mIT_hIT_fig1, got \\[\\]"),
        ({"names": ("IT", "IT")}, r"distinct names in RDMs_mIT_hIT_fig1, got \['IT', 'IT'\]"),
        ({"names": ("", 3)}, "distinct names in RDMs_mIT_hIT_fig1"),
        ({"stimuli": 9, "pairs": 36}, "expected at least 10 stimuli, got 9"),
    ):
        with pytest.raises(ValueError, match=message):
            neural.recording(published(file, **changed))
    crashing = whole[:272] + b"\0" + whole[273:]  # no size of an element: SciPy's reader ends the process
    endless = whole[:167] + b"\x7f" + whole[168:]  # two billion images, more than memory has room for
    broken = [whole[:200], whole[:-500], b"MATLAB" + bytes(100), crashing, *[endless] * (sys.platform == "linux")]
    for content in broken:
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"got a \.mat file that cannot be read"):
            neural.recording(file)


def test_published_recordings_are_read_by_nothing_that_lies_about(tmp_path, monkeypatch):
    """Such as a module of the current folder, and whatever is printed when Python starts."""
    (tmp_path / "scipy.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('hello')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert neural.recording(published(tmp_path / "made up.mat")).read().stimuli.shape == (12, 9, 9, 3)


def test_images_are_resized_by_areas():
    images = np.random.default_rng(0).random((2, 175, 90, 3))
    small = neural.resized(images, 32)
    assert small.shape == (2, 32, 32, 3)
    np.testing.assert_allclose(small.mean((1, 2)), images.mean((1, 2)))
    halves = neural.resized(images[:, :64, :64], 32)
    np.testing.assert_allclose(halves, images[:, :64, :64].reshape(2, 32, 2, 32, 2, 3).mean((2, 4)))


class Drawn:
    """Stands for CIFAR-10."""

    def read(self, lab, training):
        rng = np.random.default_rng(0)
        parts = (
            Samples(lab.array(rng.random((24, 3072))), lab.array(np.eye(10)[rng.integers(0, 10, 24)])) for _ in range(3)
        )
        return Dataset(*parts, (3, 32, 32))


@pytest.fixture
def few(monkeypatch):
    for name, value in {"BATCH": 4, "STEPS": 8, "STRETCH": 4, "SAMPLE": 20}.items():
        monkeypatch.setattr(cifar, name, value)


SmallLearner = functools.partial(CifarLearner, channels=(2, 3, 4))


@pytest.mark.parametrize("rule", [*training.RULES, "random subspace"])
def test_a_small_network_learns_cifar(few, tmp_path, rule):
    recording = neural.recording(recorded(tmp_path))
    rates = (0.01, 0.1 if rule in ("vnc", "nmnc", "random subspace") else None)
    found = SmallLearner(Drawn(), rule, *rates, 0, dimension=3, perturb_every=2, recording=recording).perform(LAB)
    assert found["diverged"] is None
    assert [look["step"] for look in found["course"]] == [0, 4, 8]
    before = SmallLearner(Drawn(), "backpropagation", 0.01, None, 0, recording=recording).perform(LAB)["before"]
    assert found["before"] == before  # the same network, whatever the rule
    assert [cifar_measures.unpack(layer).shape for layer in found["after"]] == [(66,)] * 4
    for by_layer in found.get("alignments", ()):
        assert 0 <= by_layer["mean"][0] <= by_layer["mean"][-1] <= 1.0001
    assert ("alignments" in found) == (rule == "backpropagation")
    if rates[1] is None:
        return
    assert found["perturbations"] == 4
    for layer, (units, target) in enumerate(zip((512, 192, 64), found["feedback"], strict=True)):
        assert (target["width"], target["dimension"]) == (units, 3)
        assert target["its part in the manifold"] <= target["mean"] * 1.0001
        assert found["course"][-1]["cosine"][layer] == target["cosine"]


def test_feedback_is_scaled_as_theory_says(few):
    for rule, sizes in (("vnc", (512, 192, 64)), ("nmnc", (5, 5, 5))):
        learner = SmallLearner(Drawn(), rule, 0.01, 0.1, 0, dimension=5, delivery=cifar.SCALED)
        assert learner.window == 19  # (2 − η)/η
        assert learner.route.scales == pytest.approx([1 / (1 + (size + 1) / 19) for size in sizes])


@pytest.mark.parametrize("rule", ["random feedback", "vnc", "nmnc"])
def test_a_small_network_learns_cifar_with_mirrors(few, rule):
    rate = None if rule == "random feedback" else 0.1
    found = SmallLearner(Drawn(), rule, 0.01, rate, 0, dimension=3, delivery=cifar.MIRRORS).perform(LAB)
    assert found["diverged"] is None
    assert [mirror["cosine"] for mirror in found["feedback"]] == found["course"][-1]["cosine"]
    assert len(found["feedback"]) == 3  # of all layers but the first
    assert all(("cosine of its mean" in mirror) == (rule != "random feedback") for mirror in found["feedback"])


def test_the_mean_of_a_mirror_is_on_the_manifold():
    network = dense_network(LAB.key("mirrors"), (5, 9, 7, 4), LAB.dtype)
    bases = tuple(LAB.orthonormal(f"mirrors {n}", n, d) for n, d in ((9, 3), (7, 2)))
    learned = tuple(LAB.normal("mirrors", *layer.weight.shape) for layer in network[1:])
    found = cifar_measures.mirrors(LAB, None, training.State(network, network, learned, bases, None))
    for each, layer, basis, mirror in zip(found, network[1:], bases, learned, strict=True):
        weight = layer.weight
        assert each["cosine of its mean"] == pytest.approx(accuracy.cosine(LAB, weight @ basis @ basis.T, weight))
        assert each["cosine"] == pytest.approx(accuracy.cosine(LAB, mirror, weight))


def test_a_training_that_diverges_has_the_accuracy_of_guessing(few):
    found = SmallLearner(Drawn(), "vnc", 1e6, 0.9, 0, dimension=3).perform(LAB)
    assert "diverged" in found["diverged"]
    assert found["validation"] == found["test"] == 0.1


def test_a_course_of_alignment_on_cifar(few):
    experiment = CifarAlignment(Drawn(), 0.01, 0, dimension=3)
    course = experiment.perform(LAB)["course"]
    assert [look["step"] for look in course] == [0, 4, 8]
    before, *_, after = (np.array(look["alignment"]) for look in course)
    assert np.all((before > 0) & (after < 1))
    assert after[-1] > before[-1]


def test_networks_of_a_width_on_cifar(few):
    experiment = CifarWidth(Drawn(), 2, 0, dimension=3)
    found = experiment.perform(LAB)
    assert [experiment.units(layer) for layer in cifar.SITES] == [512, 256, 128]
    for layer in cifar.SITES:
        assert all(0 < found[measure][layer - 1] < 1 for measure in ("alignment", "random alignment"))
        assert all(1 <= found[measure][layer - 1] <= 24 for measure in ("participation ratio", "90 % of variance"))
        predicted = (experiment.units(layer) + 1) / 15
        assert 0.5 * predicted < found["VNC"][layer - 1] < 1.5 * predicted + 1
