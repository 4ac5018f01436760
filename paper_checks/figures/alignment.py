"""Figures of why the Jacobian lies in the manifold: off-manifold decay, spectra, and α in training (A2, A3)."""

from __future__ import annotations

from nmnc_ref import theory
from paper_checks.figures.looks import GUIDE, HORIZONTAL, LEVELS, VERTICAL
from paper_checks.figures.points import Claim, Point, exact, experiments, number, over_seeds, points, values
from paper_checks.figures.sheet import Panel, Series, Sheet

NESTED = tuple(look._replace(size=size) for look, size in zip(LEVELS, (7, 4.5, 2), strict=True))
"""For points that coincide."""


def _factor(point: Point, t: int) -> float:
    place = point["coordinates"]
    return theory.alignment.off_manifold_factor(place["learning_rate"], place["decay"], place["momentum"], t)


def decay(claim: Claim) -> Sheet:
    """A2: the weights off the manifold in the course of training."""
    every, panels = points(claim, quantity="off the manifold"), []
    settings = list(dict.fromkeys((p["coordinates"]["momentum"], p["coordinates"]["decay"]) for p in every))
    last = max(values(every, "t"))
    for momentum, strength in settings:
        series: list[Series] = []
        for look, rule in zip(NESTED, values(every, "rule"), strict=True):
            found = points(claim, quantity="off the manifold", rule=rule, momentum=momentum, decay=strength)
            drawn = exact(rule, look, found, "t")
            initial = [number(each["predicted"]) / abs(_factor(each, each["coordinates"]["t"])) for each in found]
            series.append(drawn._replace(y=[y / whole for y, whole in zip(drawn.y, initial, strict=True)]))
        times = range(last + 1)
        line = [abs(_factor(found[0], t)) for t in times]
        series.append(Series("predicted", GUIDE, "predicted", list(times), line))
        title = f"μ = {momentum:g}, λ = {strength:g}"
        panels.append(Panel("step t", "‖Wₜ P⊥‖ / ‖W₀ P⊥‖", series, title=title, y_limits=(0, 1.05)))
    rate = every[0]["coordinates"]["learning_rate"]
    return Sheet(
        "decay",
        "Weights off the manifold decay exactly, whatever the rule (A2)",
        "The part of the first layer's weights off the span of its activity, in units of its initial norm, against "
        f"the step t of gradient descent with learning rate η = {rate:g}, momentum μ and weight decay λ. Points: "
        "three credit rules, which coincide up to rounding; line: the (1, 1) entry of [[1 − ηλ, −ημ], [λ, μ]]ᵗ. No "
        "rule changes these weights: only decay does.",
        panels,
        columns=len(panels),
        size=(85, 52),
    )


def spectrum(claim: Claim) -> Sheet:
    """A3: the energy of activity and Jacobian by component."""
    panels = []
    every = points(claim, quantity="share of the activity")
    n = every[0]["coordinates"]["n"]
    for layer in values(every, "layer"):
        series = [
            exact(name, look, points(claim, quantity=quantity, layer=layer), "component")
            for name, look, quantity in (
                ("activity", LEVELS[0], "share of the activity"),
                ("Jacobian", LEVELS[1], "share of the Jacobian"),
            )
        ]
        series.append(Series("1/n", HORIZONTAL, "reference", [], [1 / n]))
        panels.append(Panel("component", "share of the energy", series, title=f"layer {layer}", log="xy"))
    least = min((y for panel in panels for series in panel.series for y in series.y if y > 0), default=1 / n)
    return Sheet(
        "spectrum",
        "The components that carry the activity carry the Jacobian (A3)",
        "Share of the energy of activity and of Jacobians in principal components of the activity (uncentred), by "
        f"hidden layer of a trained classifier of digits with n = {n} units each; 1/n is the share of every "
        "component in a Jacobian that knows nothing of the manifold. The Jacobian's share falls with that of the "
        "activity; only in the first component, mostly the mean activity, it is less.",
        [panel._replace(y_limits=(least / 2, 1.5)) for panel in panels],
        columns=2,
        size=(85, 58),
    )


def course(claim: Claim) -> Sheet:
    """A3-trained: α over epochs by layer and decay, against d/n."""
    place = points(claim, quantity="alignment")[0]["coordinates"]
    runs, panels = list(experiments(claim, "Alignment")), []
    decays = list(dict.fromkeys(parameters["decay"] for parameters, _ in runs))
    chance = theory.estimator.random_alignment(place["d"], place["n"])
    for layer in range(1, len(runs[0][1]["course"][0]) + 1):
        series = []
        for look, strength in zip(LEVELS, decays, strict=True):
            courses = [run["course"] for parameters, run in runs if parameters["decay"] == strength]
            samples = {epoch: [row[layer - 1] for row in rows] for epoch, rows in enumerate(zip(*courses, strict=True))}
            series.append(over_seeds(f"decay {strength:g}", look, samples, "course"))
        series.append(Series("d/n", VERTICAL, "reference", [], [chance]))
        panels.append(Panel("epoch", f"alignment α, d = {place['d']}", series, f"layer {layer}", y_limits=(0, 1)))
    return Sheet(
        "alignment",
        "Training brings the Jacobian into the manifold (A3-trained)",
        f"Alignment α of Jacobian and manifold (d = {place['d']} of n = {place['n']}, uncentred) against the epoch of "
        "training by backpropagation, by hidden layer and weight decay. Points: means over seeds with 95 % intervals; "
        f"dotted: d/n = {chance:.3g}, where random Jacobians are. α rises in training, and further with more decay.",
        panels,
        columns=len(panels),
        size=(85, 52),
    )
