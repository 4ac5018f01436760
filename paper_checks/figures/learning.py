"""Figures of what training does: widths, accuracies, budgets, dimensions, and likeness to neurons (D3, L2–L6, L8)."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from nmnc_ref import theory
from paper_checks.figures.looks import BEST, GUIDE, HORIZONTAL, LEVELS, RULES, VERTICAL
from paper_checks.figures.points import Claim, experiments, measured, number, over_seeds, points, values
from paper_checks.figures.sheet import Panel, Series, Sheet

INTERVALS = "means over seeds with 95 % intervals"


def dimension_over_width(claim: Claim) -> Sheet:
    """D3: measures of dimension over the width."""
    runs, panels = list(experiments(claim, "Width")), []
    widths = sorted({parameters["width"] for parameters, _ in runs})
    exponents = points(claim, quantity="exponent")
    for layer in values(exponents, "layer"):
        series = []
        for look, measure in zip(LEVELS, values(exponents, "measure"), strict=True):
            samples = {n: [run[measure][layer - 1] for about, run in runs if about["width"] == n] for n in widths}
            series.append(over_seeds(measure, look, samples))
        series.append(Series("n", GUIDE, "reference", widths, widths))
        series.append(Series("√n", HORIZONTAL, "reference", widths, [n**0.5 for n in widths]))
        panels.append(Panel("width n", "dimensions", series, f"layer {layer}", log="xy"))
    steepest = max(number(each["measured"]) for each in exponents)
    return Sheet(
        "dimension_over_width",
        "The manifold stays small while networks grow (D3)",
        "Dimension of the activity of trained networks against the width n of their layers, by three measures. Points: "
        f"{INTERVALS}; lines: n and √n. The fitted exponents are at most {steepest:.2f}.",
        panels,
        columns=2,
        size=(85, 62),
    )


def perturbations_over_width(claim: Claim) -> Sheet:
    """L3: perturbations to a cosine of 0.5 over the width."""
    every, panels = points(claim, quantity="perturbations"), []
    for layer in values(every, "layer"):
        series = []
        for rule in values(every, "rule"):
            found = points(claim, quantity="perturbations", rule=rule, layer=layer)
            predicted = [number(each["predicted"]) for each in found]
            series.append(measured(rule, RULES[rule], found, "n"))
            series.append(Series(rule, RULES[rule], "predicted", values(found, "n"), predicted))
        panels.append(Panel("width n", "perturbations K", series, f"layer {layer}", log="xy"))
    return Sheet(
        "perturbations_over_width",
        "Perturbations to a cosine of 0.5 over the width of a network (L3)",
        "The number K of perturbations from which estimated and exact Jacobian have a cosine of 0.5, in trained "
        f"networks, against the width n of their layers. Points: {INTERVALS}; lines: E6, at the measured α for "
        "NMNC. K grows like n for VNC and hardly for NMNC.",
        panels,
        columns=2,
        size=(85, 58),
    )


def accuracy(claim: Claim) -> Sheet:
    """L2, L4: final accuracies by task and rule."""
    every = points(claim, quantity="test accuracy")
    series = []
    for rule in values(every, "rule"):
        found = points(claim, quantity="test accuracy", rule=rule)
        drawn = measured(rule, RULES[rule], found, "task")
        series.append(drawn._replace(x=[_task(each["coordinates"]) for each in found]))
    return Sheet(
        f"accuracy_{claim['id']}",
        f"What learns better from scarce perturbations ({claim['id']})",
        f"Test accuracy after training, by task and credit rule, each at its best rates. Points: {INTERVALS}. "
        "“Averaged” rules keep a running average of their perturbations; the others of that task learn from fresh "
        "ones.",
        [Panel("task", "test accuracy", series)],
    )


def _task(place: Mapping[str, Any]) -> str:
    return f"{place['task']}, {place['kind']}" if place["kind"] else place["task"]


def cifar(claim: Claim) -> Sheet:
    """L2-CIFAR: learning curves and final accuracies."""
    runs = [each for each in experiments(claim, "CifarLearner") if each[0]["delivery"] == "direct"]
    courses, finals = [], []
    for name in values(points(claim, quantity="test accuracy"), "rule"):
        looks = [look for about, run in runs if about["rule"].lower() == name.lower() for look in run["course"]]
        steps = sorted({look["step"] for look in looks})
        samples = {step: [look["accuracy"] for look in looks if look["step"] == step] for step in steps}
        courses.append(over_seeds(name, RULES[name], samples, "course"))
        final = measured(name, RULES[name], points(claim, quantity="test accuracy", rule=name), "rule")
        finals.append(final._replace(x=["end"]))
    return Sheet(
        "cifar",
        "Learning CIFAR-10 by different credit rules (L2-CIFAR)",
        "Accuracy on validation images in the course of training, and on test images at its end; convolutional "
        f"networks with feedback that is a running average of one perturbation a step. Points: {INTERVALS}; a training "
        "that diverged counts up to there, and at the end as guessing.",
        [Panel("step", "validation accuracy", courses), Panel("", "test accuracy", finals)],
        columns=2,
        size=(85, 66),
    )


def efficiency(claim: Claim) -> Sheet:
    """L8: accuracy over the perturbations of a whole training."""
    every = points(claim, quantity="test accuracy")
    series = [
        measured(rule, RULES[rule], points(claim, quantity="test accuracy", rule=rule), "K")._replace(kind="course")
        for rule in values(every, "rule")
    ]
    fewer = points(claim, quantity="factor")[0]
    K, factor = fewer["coordinates"]["K"], 2 ** number(fewer["measured"])
    return Sheet(
        "efficiency",
        "Accuracy over perturbations: sample efficiency (L8)",
        "Test accuracy on CIFAR-10 against the number of perturbations of a whole training, each rule at its best "
        f"rates with each. Points: {INTERVALS}. VNC needs {factor:.1f} times as many as NMNC for the accuracy that "
        f"NMNC has from {K}, or more where none of its budgets was enough.",
        [Panel("perturbations of a training", "test accuracy", series, log="x")],
        size=(85, 58),
    )


def advantage(claim: Claim) -> Sheet:
    """L2-CIFAR: which noise learns better, over K/n and α, and by how much, over the distance from E6's boundary."""
    every = points(claim, quantity="accuracy difference")
    panels, distances = [], []
    for look, layer in zip(LEVELS, values(every, "layer"), strict=True):
        found = points(claim, quantity="accuracy difference", layer=layer)
        places, differences = [each["coordinates"] for each in found], [number(each["measured"]) for each in found]
        n, series = places[0]["n"], []
        for rule, better in (("NMNC", operator.gt), ("VNC", operator.le)):
            chosen = [at for at, value in zip(places, differences, strict=True) if better(value, 0)]
            x, y = [at["K"] / n for at in chosen], [at["alpha"] for at in chosen]
            series += [Series(f"{rule} learns better", RULES[rule], "measured", x, y)] * bool(chosen)
        windows = [at["K"] for at in places]
        draws = [round(K) for K in np.geomspace(min(windows) / 2, 2 * max(windows), 50)]
        for guide, d in zip((HORIZONTAL, GUIDE), sorted({at["d"] for at in places}), strict=False):
            boundary = [theory.estimator.cosine_threshold(K, d, n) for K in draws]
            series.append(Series(f"E6's boundary, d = {d}", guide, "predicted", [K / n for K in draws], boundary))
        panels.append(Panel("K/n", "alignment α", series, f"layer {layer}", log="xy"))
        thresholds = [theory.estimator.cosine_threshold(at["K"], at["d"], n) for at in places]
        ratios = [at["alpha"] / threshold for at, threshold in zip(places, thresholds, strict=True)]
        distances.append(Series(f"layer {layer}", look, "measured", ratios, differences))
    distances.append(Series("the boundary", VERTICAL, "reference", [1.0], []))
    distances.append(Series("no difference", HORIZONTAL, "reference", [], [0.0]))
    panels.append(Panel("α over E6's boundary", "difference of accuracy", distances, log="x"))
    return Sheet(
        "advantage",
        "Where the advantage of manifold noise ends (L2-CIFAR)",
        "The grid on CIFAR-10: for each η and number of perturbations the rule with the better validation accuracy, "
        "each at its best learning rate, one network a cell, at the window K of the average and the α of the mean "
        "Jacobian by layer. Lines: α = (K + d + 1)/(K + n + 1), above which NMNC's feedback has the better direction. "
        "Last panel: NMNC's accuracy less VNC's, over α divided by that boundary.",
        panels,
        columns=2,
        size=(85, 110),
    )


def dimensions(claim: Claim) -> Sheet:
    """L5: cosine in a frozen network, and accuracy and cosine in training, over d."""
    (_, run), *_ = experiments(claim, "Dimensions")
    ratios, best = [], []
    every = points(claim, quantity="cosine ratio")
    for look, layer in zip(LEVELS, values(every, "layer"), strict=True):
        found = points(claim, quantity="cosine ratio", layer=layer)
        draws, alignments = found[0]["coordinates"]["K"], run[str(layer)]["alignments"]
        predicted = [theory.estimator.cosine_ratio(a, draws, d) for d, a in enumerate(alignments, start=1)]
        name = f"cosine ratio, layer {layer}"
        ratios.append(measured(name, look, found, "d"))
        ratios.append(Series(name, look, "predicted", list(range(1, len(alignments) + 1)), predicted))
        chosen = theory.estimator.best_dimension_for_cosine(alignments, draws)
        best += [each for each in found if each["coordinates"]["d"] == chosen]
    ratios.append(measured("best d (E17)", BEST, best, "d")._replace(half=[]))
    trained = [
        measured(name, look, points(claim, quantity=quantity), "d")
        for name, look, quantity in (
            ("test accuracy", RULES["backpropagation"], "test accuracy"),
            ("cosine in training", RULES["random subspace"], "cosine of the weight gradient"),
        )
    ]
    return Sheet(
        "dimensions",
        "How many dimensions of the manifold to perturb (L5)",
        f"Left: cosine ratio of gradients in a trained network that stays as it is, from K = {draws} perturbations "
        "for each image, against the number d of perturbed dimensions (bars: six standard errors); lines: E6 at "
        "the measured A(d); stars: where E17 has the largest. Right: networks that learn with d dimensions; "
        f"{INTERVALS}.",
        [
            Panel("dimensions d", "cosine ratio", ratios, log="x"),
            Panel("dimensions d", "accuracy, cosine", trained, log="x", y_limits=(0, 1)),
        ],
        columns=2,
        size=(85, 68),
    )


def neurons(claim: Claim) -> Sheet:
    """L6-neurons: likeness to neurons by rule and layer."""
    every, panels = points(claim, quantity="RSA"), []
    for reference in values(every, "reference"):
        series = [
            measured(rule, RULES[rule], points(claim, quantity="RSA", rule=rule, reference=reference), "layer")
            for rule in values(every, "rule")
        ]
        panels.append(Panel("", "correlation of ranks", series, title=reference))
    return Sheet(
        "neurons",
        "Likeness of hidden layers to neurons (L6-neurons)",
        "Spearman's correlation of the dissimilarities of stimuli in layers of trained networks with those in "
        "neurons, by credit rule and layer. Points: means over networks; bars: 95 % intervals over stimuli and "
        "networks drawn anew.",
        panels,
        size=(85, 12 + 46 * len(panels)),
    )
