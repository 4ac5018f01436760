"""What scale an estimate has, as a law in the quantities of a problem: c · Π q^p.

The problems of an audit differ in K, B, σ, widths and dimensions, so exponents can be told from scales. Of the laws
that fit every scale, the simplest is taken: with the fewest arrays set apart, and the fewest factors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from nmnc_ref.oracle.audit.check import DEFECT, ROUNDING, Measurement, is_constant
from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.means import part_checks
from nmnc_ref.oracle.audit.problem import Problem

LIMIT = 5.0
"""Standard errors within which a law must meet every scale."""
EXPONENTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
SUPERSCRIPTS = {1.0: "", -1.0: "⁻¹", 2.0: "²", -2.0: "⁻²", 0.5: "^½", -0.5: "^−½"}
Place = tuple[str, int]
"""An array, "J", "g", "dW" or "db", and its layer, counted from the output layer, 0."""
PARTITIONS: tuple[Callable[[Place], str], ...] = (
    lambda place: "",
    lambda place: "the output layer" if place[1] == 0 else "hidden layers",
    lambda place: place[0],
    lambda place: "the output layer" if place[1] == 0 else f"{place[0]} of hidden layers",
    lambda place: {0: "the output layer", 1: "the last hidden layer"}.get(place[1], "the layers below"),
)


class Scale(NamedTuple):
    """A scale that was measured, its standard error, and the quantities of its problem."""

    place: Place
    value: float
    se: float
    quantities: dict[str, float]


class Law(NamedTuple):
    """`constant` · Π q^exponent."""

    constant: float = 1.0
    exponents: tuple[tuple[str, float], ...] = ()

    def value(self, quantities: dict[str, float]) -> float:
        """Return the scale in a problem."""
        return self.constant * math.prod(quantities[name] ** power for name, power in self.exponents)

    @property
    def factors(self) -> float:
        """How many there are but 1; a sign counts as half of one."""
        return len(self.exponents) + (abs(self.constant) != 1) + (self.constant < 0) / 2

    def __str__(self) -> str:
        """The law in symbols."""
        powers = "·".join(f"{name}{SUPERSCRIPTS[power]}" for name, power in self.exponents)
        if self.constant == 1 and powers:
            return powers
        near = Fraction(self.constant).limit_denominator(12)
        number = str(near) if math.isclose(near, self.constant, rel_tol=1e-9) else f"{self.constant:.3g}"
        return "·".join(filter(None, (number, powers)))


class Scaling(NamedTuple):
    """The law of each set of arrays, whose name `of` gives."""

    of: Callable[[Place], str]
    laws: dict[str, Law]

    def divisors(self, measurement: Measurement) -> list[float]:
        """Return what the parts of a measurement are too large by."""
        problem = measurement.probe.problem
        return [
            self.laws[self.of(place)].value(_quantities(problem, place))
            for place in (_place(problem, part) for part in measurement.parts)
        ]

    @property
    def factors(self) -> float:
        """How many there are in all laws."""
        return sum(law.factors for law in self.laws.values())

    @property
    def trivial(self) -> bool:
        """Whether nothing is too large or too small."""
        return all(law == Law() for law in self.laws.values())

    @property
    def name(self) -> str:
        """What usually makes such a scale, if that is known; else the scale itself."""
        wrong = {of: law for of, law in self.laws.items() if law != Law()}
        if not any(law == Law() for law in self.laws.values()) or set(wrong) == {"hidden layers"}:
            (law, *others) = set(wrong.values())
            if not others and (usual := USUAL.get(law)):
                return usual
        for of, array in (("dW", "weights"), ("db", "biases")):
            if wrong == {of: Law(1.0, (("B", 1.0),))}:
                return f"sum for mean over the batch, in {array} only"
        return self.text

    @property
    def text(self) -> str:
        """The scale in words."""
        return "; ".join(
            f"{of or 'everything'}: {law} times what was claimed, in every problem"
            for of, law in self.laws.items()
            if law != Law()
        )


USUAL = {
    Law(1.0, (("σ", 2.0),)): "no 1/σ²",
    Law(1.0, (("σ", 1.0),)): "1/σ for 1/σ²",
    Law(1.0, (("K", 1.0),)): "no 1/K",
    Law(1.0, (("B", 1.0),)): "sum for mean over the batch",
    Law(1.0, (("B", -1.0),)): "mean over the batch taken twice",
    Law(2.0): "pair counted twice, or antithetic pairs without ½",
    Law(0.5): "½ twice, or ½ on a one-sided response",
    Law(-1.0): "sign",
    Law(1.0, (("n_o", -1.0),)): "loss averaged over outputs",
    Law(1.0, (("d", -1.0),)): "norm 1 for norm √d, of the noise or of the basis",
    Law(1.0, (("n", -1.0),)): "norm 1 for norm √n, of the noise",
    Law(1.0, (("n", -1.0), ("d", 1.0))): "energy mismatch: noise of σ√(d/n), estimate divided by σ²",
    Law(1.0, (("n", 1.0), ("d", -1.0))): "energy mismatch: noise of σ, estimate divided by σ²d/n",
}
"""What usually makes a scale."""


def fit(measured: Sequence[Measurement]) -> Scaling | None:
    """Return the simplest law of the scales at small σ, or None if there is none or if directions are wrong too."""
    scales = []
    for measurement in measured:
        if measurement.probe.linear:
            for part, sample in measurement.pairs:
                of_part = _scale(measurement, part, sample)
                if of_part is None:
                    return None
                scales += of_part
    best: tuple[float, float, Scaling] | None = None
    for of in PARTITIONS:
        cells: dict[str, list[Scale]] = {}
        for scale in scales:
            cells.setdefault(of(scale.place), []).append(scale)
        fits = {name: fitting for name, cell in cells.items() if (fitting := _simplest(cell))}
        if len(fits) == len(cells):
            found = Scaling(of, {name: law for name, (law, _) in fits.items()})
            cost, squares = found.factors + 0.1 * len(fits), sum(each for _, each in fits.values())
            if best is None or (cost, squares) < best[:2]:
                best = cost, squares, found
    return best[2] if best else None


def _scale(measurement: Measurement, part: Part, sample: np.ndarray) -> list[Scale] | None:
    """Return the scale of a part, none where zero is claimed; None where its mean is 0 or no multiple of the claim."""
    size, mean = float(np.linalg.norm(part.mean)), sample.mean(axis=0)
    if not size:
        return []
    scale = float(mean @ part.mean) / size**2
    se = ROUNDING * abs(scale)
    if is_constant(sample, part):
        if not scale or np.linalg.norm(mean - scale * part.mean) > ROUNDING * np.linalg.norm(mean):
            return None
    else:
        scaled, *directions = part_checks(measurement.probe, part, sample)
        if any(direction.status == DEFECT for direction in directions):
            return None
        se = max(se, scaled.se)
    place = _place(measurement.probe.problem, part)
    return [Scale(place, scale, se, _quantities(measurement.probe.problem, place))]


def _place(problem: Problem, part: Part) -> Place:
    last = len(problem.weights) - 1
    return part.name.split()[0], 0 if part.site is None else last - part.site


def _quantities(problem: Problem, place: Place) -> dict[str, float]:
    layer = len(problem.weights) - 1 - place[1]
    n, hidden = len(problem.biases[layer]), place[1] > 0
    d = problem.bases[layer].shape[1] if problem.bases is not None and hidden else n
    values = {"K": problem.draws, "B": len(problem.x), "σ": problem.sigma, "n": n, "d": d}
    parameters = sum(weight.size for weight in (*problem.weights, *problem.biases))
    return values | {"n_o": problem.target.shape[1], "layers": len(problem.weights), "parameters": parameters}


def _simplest(cell: list[Scale]) -> tuple[Law, float] | None:
    """Return the law of fewest factors that meets every scale, and its squared deviations."""
    scales, se = np.array([scale.value for scale in cell]), np.array([scale.se for scale in cell])
    columns = {name: np.array([scale.quantities[name] for scale in cell]) for name in cell[0].quantities}
    varying = [name for name, column in columns.items() if np.ptp(column) > 0]
    if "d" in varying and np.array_equal(columns["d"], columns["n"]):
        varying.remove("d")
    for count in range(3):
        found = []
        for names in itertools.combinations(varying, count):
            for powers in itertools.product(EXPONENTS, repeat=count):
                factors = tuple(zip(names, powers, strict=True))
                shape = np.ones(len(cell))
                for name, power in factors:
                    shape = shape * columns[name] ** power
                precision = float(np.sum((shape / se) ** 2))
                best, error = float(np.sum(scales * shape / se**2)) / precision, precision**-0.5
                if abs(best) <= LIMIT * error:
                    continue
                for constant in (math.copysign(1.0, best), _constant(best, 3 * error)):
                    deviations = (scales - constant * shape) / se
                    if np.all(abs(deviations) <= LIMIT):
                        found.append((Law(constant, factors), float(deviations @ deviations)))
        if found:
            return min(found, key=lambda pair: (pair[0].factors, pair[1]))
    return None


def _constant(best: float, error: float) -> float:
    """Return a constant: the simplest fraction that is within the error, or itself."""
    near = (round(best * denominator) / denominator for denominator in range(1, 9))
    return next((each for each in near if each and abs(each - best) <= error), best)
