"""Figures of the estimators: error and cosine over K, which rule is better, and the best dimension (E4, E6, E17)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from nmnc_ref.theory import estimator
from paper_checks.figures.looks import BEST, HORIZONTAL, LEVELS, NMNC, RULES, VERTICAL, VNC
from paper_checks.figures.points import Claim, exact, measured, number, points, values
from paper_checks.figures.sheet import Panel, Series, Sheet

K_AXIS = "number K of perturbations"
BARS = "bars: six standard errors, the tolerance"


def _over_draws(claim: Claim, quantity: str, predict: Callable[[float, int, int, str], float]) -> list[Series]:
    """Return what was measured of both rules, and the prediction for every K between."""
    series = []
    for rule in ("NMNC", "VNC"):
        found = points(claim, quantity=quantity, rule=rule)
        place = found[0]["coordinates"]
        alignment, dimension = (place["alpha"], place["d"]) if rule == "NMNC" else (1.0, place["n"])
        draws = sorted({round(each) for each in np.geomspace(1, max(values(found, "K")), 100)})
        predicted = [predict(alignment, each, dimension, place["law"]) for each in draws]
        series.append(measured(rule, RULES[rule], found, "K"))
        series.append(Series(rule, RULES[rule], "predicted", draws, predicted))
    return series


def _problem(place: dict[str, Any]) -> str:
    return f"n = {place['n']} units, d = {place['d']} dimensions, α = {place['alpha']}"


def error(claim: Claim) -> Sheet:
    """E4: the relative error over K, and K*."""
    place = points(claim, quantity="relative error")[0]["coordinates"]
    crossover = estimator.error_crossover(place["alpha"], place["d"], place["n"], place["law"])
    bias = 1 - place["alpha"]
    series = [
        *_over_draws(claim, "relative error", estimator.relative_error),
        Series(f"K* = {crossover:.0f}", VERTICAL, "reference", [crossover], []),
        Series("1 − α", HORIZONTAL, "reference", [], [bias]),
    ]
    return Sheet(
        "error",
        "Relative error of the estimated Jacobian over the number of perturbations (E4)",
        "Relative error E‖Ĵ − J‖²/‖J‖² of NMNC and VNC against the number K of Gaussian perturbations; "
        f"{_problem(place)}. Points: means of at least 1,000 estimates ({BARS}); lines: (1 − α) + α(d + 1)/K and (n "
        f"+ 1)/K. NMNC is better below K* = {crossover:.0f}; beyond it VNC is, as NMNC keeps its bias, 1 − α = "
        f"{bias:.3g}.",
        [Panel(K_AXIS, "relative error", series, log="xy")],
    )


def cosine(claim: Claim) -> Sheet:
    """E6: the cosine over K, K† and the ceiling √α."""
    place = points(claim, quantity="cosine ratio")[0]["coordinates"]
    crossover = estimator.cosine_crossover(place["alpha"], place["d"], place["n"], place["law"])
    ceiling = place["alpha"] ** 0.5
    series = [
        *_over_draws(claim, "cosine ratio", estimator.cosine_ratio),
        Series(f"K† = {crossover:.0f}", VERTICAL, "reference", [crossover], []),
        Series("√α", HORIZONTAL, "reference", [], [ceiling]),
    ]
    return Sheet(
        "cosine",
        "Cosine of estimated and exact Jacobian over the number of perturbations (E6)",
        f"Cosine ratio ⟨E Ĵ, J⟩/√(‖J‖² E‖Ĵ‖²) of NMNC and VNC against the number K of Gaussian perturbations; "
        f"{_problem(place)}. Points: at least 1,000 estimates ({BARS}); lines: √(αK/(K + d + 1)) and √(K/(K + n + 1)). "
        f"NMNC points the better way below K† = {crossover:.0f}, and never better than its ceiling √α = {ceiling:.3g}.",
        [Panel(K_AXIS, "cosine ratio", series, log="x", y_limits=(0, 1))],
    )


def winners(claim: Claim) -> Sheet:
    """E6: which rule has the larger cosine ratio, over d/n and α, at several K."""
    every, panels = points(claim, quantity="advantage"), []
    n, law = every[0]["coordinates"]["n"], every[0]["coordinates"]["law"]
    for draws in values(every, "K"):
        found = points(claim, quantity="advantage", K=draws)
        dimensions = range(1, n + 1)
        threshold = [estimator.cosine_threshold(draws, d, n, law) for d in dimensions]
        series = []
        for name, look, better in (("NMNC", NMNC, operator.gt), ("VNC", VNC, operator.le)):
            places = [each["coordinates"] for each in found if better(number(each["measured"]), 1)]
            x, y = ([each["d"] / n for each in places], [each["alpha"] for each in places])
            series.append(Series(name, look, "measured", x, y))
        series.append(
            Series("predicted boundary", HORIZONTAL, "predicted", [d / n for d in dimensions], threshold),
        )
        panels.append(Panel("d/n", "alignment α", series, title=f"K = {draws}", x_limits=(0, 1.03), y_limits=(0, 1.03)))
    return Sheet(
        "winners",
        "Where manifold noise points the better way (E6)",
        "The rule with the larger measured cosine ratio, by relative dimension d/n and alignment α, at several "
        f"numbers K of Gaussian perturbations; n = {n}. Points: expectations over a finite law, exact up to "
        "rounding; line: α = (K + d + 1)/(K + n + 1). With few perturbations NMNC needs little more than α > d/n; "
        "the more there are, the more of the Jacobian must lie in the manifold.",
        panels,
        columns=len(panels),
        size=(85, 48),
    )


def best_dimension(claim: Claim) -> Sheet:
    """E17: error and cosine over d, and the best d."""
    panels = []
    for quantity, predict, best in (
        ("relative error", estimator.relative_error, estimator.best_dimension_for_error),
        ("cosine ratio", estimator.cosine_ratio, estimator.best_dimension_for_cosine),
    ):
        series, chosen = [], []
        for look, draws in zip(LEVELS, values(points(claim, quantity=quantity), "K"), strict=True):
            found, name = points(claim, quantity=quantity, K=draws), f"K = {draws}"
            places = [each["coordinates"] for each in found]
            law, alignments = places[0]["law"], [each["alpha"] for each in places]
            lines = [predict(a, draws, d, law) for d, a in enumerate(alignments, start=1)]
            series.append(exact(name, look, found, "d"))
            series.append(Series(name, look, "predicted", [each["d"] for each in places], lines))
            chosen.append(found[best(alignments, draws, law) - 1])
        series.append(exact("best d (E17)", BEST, chosen, "d"))
        panels.append(Panel("dimensions d", quantity, series))
    n = chosen[0]["coordinates"]["n"]
    return Sheet(
        "best_dimension",
        "How many dimensions to perturb (E17)",
        f"Relative error and cosine ratio against the number d of perturbed dimensions of a layer of n = {n} units "
        "of a trained classifier, with K perturbations of random signs. Points: exact expectations; lines: E4 and "
        "E6 at the measured A(d); stars: the best d by E17. Few perturbations are best spent on few dimensions, "
        "and fewer for a small error than for a large cosine.",
        panels,
        columns=2,
        size=(85, 62),
    )
