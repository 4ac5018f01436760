"""Pictures of the documents, which no run has: of both kinds of noise, and of the README's example.

`python -m paper_checks.figures.pictures docs/figures` draws them anew.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmnc_ref import manifold, perturbation, random, theory
from nmnc_ref.nn import activation, feedforward, initialisation
from nmnc_ref.nn.dense import Dense
from nmnc_ref.noise_correlation import estimate_jacobian
from nmnc_ref.oracle import files
from paper_checks.comparison import mean_interval
from paper_checks.figures import draw
from paper_checks.figures.looks import RULES
from paper_checks.figures.sheet import Look, Panel, Series, Sheet

MESH = Look("#BBBBBB", "", "solid", 0, width=0.5)
SPAN = Look("#555555", "", "dashed", 0, width=0.8)
ACTIVITY = Look("#777777", ".", "", 2.5)
CENTRE = Look("#000000", "*", "", 9)
HEIGHT = 0.72
SIGMA, POINTS = 0.27, 50
Lines = tuple[list[float], list[float]]


class Scene(NamedTuple):
    """Activity of three units that two inputs drive, as rows, in coordinates along the manifold and off it.

    `mesh`: lines of the manifold, [·, ·, 3]; `activity`; `point`: a sample in the middle; `noise`: ξ by rule.
    """

    mesh: np.ndarray
    activity: np.ndarray
    point: np.ndarray
    noise: dict[str, np.ndarray]


def scene() -> Scene:
    """Return what the picture of both kinds of noise shows, computed as in a network."""
    first = Dense(np.array([[0.9, 0.3], [-0.4, 0.8], [0.7, -0.6]]), np.zeros(3))
    layers = (first, Dense(np.eye(3), np.zeros(3)))

    def respond(inputs: np.ndarray) -> np.ndarray:
        return feedforward.forward(layers, inputs, activation.tanh).activity[1]

    activity = respond(0.8 * random.normal(random.key(0, np), (100, 2), np.float64))
    fit = manifold.fit(activity, dimension=2, centring="centred")
    U = fit.basis * np.sign(fit.basis[0, :])  # which is free
    frame = np.concatenate([U, np.cross(U[:, 0], U[:, 1])[:, None]], axis=1)
    z = random.normal(random.key(1, np), (POINTS, 3), np.float64)
    noise = {
        "VNC": perturbation.isotropic(z, perturbation.matched_sigma(SIGMA, 2, 3)),
        "NMNC": perturbation.on_manifold(z[:, :2], U, SIGMA),
    }
    wires, along = np.linspace(-1.8, 1.8, 9), np.linspace(-1.8, 1.8, 13)
    grid = [np.stack(np.broadcast_arrays(*pair), axis=-1) for w in wires for pair in ((w, along), (along, w))]
    mesh = np.stack([respond(line) for line in grid])
    middle = activity[np.argmin(np.sum((activity - fit.mean) ** 2, axis=1)), :]
    mesh, activity, middle = ((each - fit.mean) @ frame for each in (mesh, activity, middle))
    return Scene(mesh, activity, middle, {rule: xi @ frame for rule, xi in noise.items()})


def noise() -> Sheet:
    """Isotropic and manifold noise at a point of the activity."""
    shown, panels = scene(), []
    for rule, title in (("VNC", "VNC: ξ = σz, in all directions"), ("NMNC", "NMNC: ξ = σUz, along the manifold")):
        perturbed = shown.point + shown.noise[rule]
        feet = perturbed * np.array([1.0, 1.0, 0.0]) + shown.point * np.array([0.0, 0.0, 1.0])
        series = [
            Series("manifold", MESH, "reference", *_lines(shown.mesh)),
            Series("activity", ACTIVITY, "measured", *_seen(shown.activity)),
            Series("off the manifold", SPAN, "reference", *_lines(np.stack([feet, perturbed], axis=1))),
            Series(f"x + ξ, {rule}", RULES[rule]._replace(size=3), "measured", *_seen(perturbed)),
            Series("x", CENTRE, "measured", *_seen(shown.point[None, :])),
        ]
        panels.append(Panel("", "", series, title, y_limits=(-HEIGHT, HEIGHT), bare=True))
    return Sheet(
        "noise",
        "Isotropic and manifold noise in activity space",
        "Activity of three units (grey dots) lies on a surface, as two inputs drive it. Isotropic noise ξ perturbs an "
        "activity x in all directions, most of which the network never visits; manifold noise of the same energy "
        "perturbs it along the plane that fits the activity best.",
        panels,
        columns=2,
        size=(170, 53),
    )


def _seen(places: np.ndarray) -> Lines:
    """Return where a camera sees places [..., 3] that looks at the manifold from a little above it."""
    turn, rise = np.deg2rad(28), np.deg2rad(14)
    right = np.array([np.cos(turn), np.sin(turn), 0])
    up = np.array([-np.sin(turn) * np.sin(rise), np.cos(turn) * np.sin(rise), np.cos(rise)])
    x, y = ((places @ axis).round(4).tolist() for axis in (right, up))
    return x, y


def _lines(lines: np.ndarray) -> Lines:
    """Return lines [line, place, 3] as they are seen, with a gap after each."""
    return _seen(np.concatenate([lines, np.full_like(lines[:, :1, :], np.nan)], axis=1).reshape(-1, 3))


def example() -> Sheet:
    """The README's estimates, ten of each, from few perturbations to many."""
    layers = initialisation.dense_network(random.key(0, np), (8, 100, 10), np.float64)
    x = random.normal(random.key(1, np), (500, 8), np.float64)
    activity = feedforward.forward(layers, x, activation.relu).activity[1]
    basis = manifold.fit(activity, dimension=10).basis
    tail = feedforward.tail(layers, 1, activation.relu)
    J = feedforward.jacobian(layers, x[0], 1, activation.relu)
    numbers, series = (10, 20, 50, 100, 200, 500, 1000), []
    for rule, d, U, target in (("NMNC", 10, basis, J @ manifold.projector(basis)), ("VNC", 100, None, J)):
        sigma, means, halves = perturbation.matched_sigma(0.1, 10, d), [], []
        for draws in numbers:
            errors = []
            for repetition in range(10):
                key = random.fold_in(random.key(2, np), repetition)
                estimate = estimate_jacobian(key, tail, activity[0], sigma=sigma, draws=draws, basis=U)
                errors.append(float(np.sum((estimate - target) ** 2) / np.sum(target**2)))
            mean, half = mean_interval(errors)
            means.append(mean)
            halves.append(half)
        series.append(Series(rule, RULES[rule], "measured", numbers, means, halves))
        predicted = [theory.estimator.variance(draws, d) for draws in numbers]
        series.append(Series(rule, RULES[rule], "predicted", numbers, predicted))
    return Sheet(
        "error",
        "Error of estimated Jacobians over the number of perturbations",
        "Relative error of the estimated Jacobian of 10 outputs at a hidden layer of 100 units, NMNC's along the 10 "
        "dimensions of its manifold, against the number K of perturbations. Points: means of ten estimates with 95 % "
        "intervals; lines: (d + 1)/K and (n + 1)/K (E3).",
        [Panel("number K of perturbations", "relative error", series, log="xy")],
        size=(100, 65),
    )


PICTURES = (noise, example)


def main(folder: Path) -> None:
    """Write the pictures and their data."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        found = draw(picture())
        files.write(folder / f"{found.name}.svg", found.svg)
        files.write(folder / f"{found.name}.csv", found.csv)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
