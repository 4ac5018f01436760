"""How often the audit is right, measured on many seeds: `python -m tests.audit_power TRIAL [options]`.

The test suite runs a small sample of this; the whole takes hours.

    correct      no false alarm on this library's own estimators, on NumPy or another library
    calibration  the same on very many draws of the reference, fast: how much of the bounds chance ever uses
    slips        every slip of the catalogue, with each activation: detected, and named first
    unknown      slips outside of the catalogue: detected, and unexplained
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np

from nmnc_ref import estimator, oracle
from nmnc_ref.oracle.black_box import slips
from nmnc_ref.oracle.black_box.adapters import adapter
from nmnc_ref.oracle.black_box.checks import Measurement, compare
from nmnc_ref.oracle.black_box.expectation import expected_parts
from nmnc_ref.oracle.black_box.probes import probes
from nmnc_ref.oracle.black_box.problem import ACTIVATIONS, RETURNS, TARGETS, Declaration, declare
from nmnc_ref.oracle.black_box.reference import estimates
from nmnc_ref.oracle.black_box.report import Report
from nmnc_ref.oracle.black_box.statistics import MISSED
from tests.slipped_estimators import SLIPS, UNKNOWN, stranger

NAMESPACES = {"numpy": "numpy", "jax": "jax.numpy", "torch": "array_api_compat.torch"}
HARMLESS = {
    ("activation derivative left out", "identity"),
    ("activation derivative at the activity, φ'(x) for φ'(s)", "identity"),
    ("activation derivative at the activity, φ'(x) for φ'(s)", "relu"),  # x > 0 where s > 0
    ("derivative threshold s ≥ 0 for s > 0", "identity"),
    ("derivative threshold s ≥ 0 for s > 0", "tanh"),
    ("noise before the activation", "identity"),
}
"""Slips that change nothing with an activation."""


def correct(returns: str, target: str, response: str, backend: str, seed: int, budget: float) -> Report:
    """Audit an estimator of this library, antithetic or one-sided by turns."""
    xp = importlib.import_module(NAMESPACES[backend])
    respond = (estimator.antithetic_response, estimator.one_sided_response)[seed % 2]
    estimate = adapter(returns, xp=xp, response=response, respond=respond)
    return oracle.audit(estimate, returns, target=target, response=response, seed=seed, budget=budget)


def slipped(returns: str, target: str, slip: str, activation: str, seed: int, budget: float) -> Report:
    """Audit a stranger's estimator with a slip, antithetic or one-sided by turns."""
    estimate = stranger(returns, slip, antithetic=seed % 2 == 0)
    return oracle.audit(estimate, returns, target=target, seed=seed, budget=budget, activations=(activation,))


def applicable(returns: str, target: str) -> list[str]:
    """Return the slips of the catalogue that an estimator declared like this can have."""
    names = {slip.name for slip in slips.candidates(Declaration(returns, target))}
    return [name for name in SLIPS if name in names]


def used_by_chance(declaration: Declaration, seed: int, calls: int) -> Iterator[tuple[str, float]]:
    """Yield for each statistical comparison on a correct estimator the share of its bound that the error takes."""
    measured = []
    for index, probe in enumerate(probes(declaration, seed)):
        parts = expected_parts(probe, declaration, seed)
        arrays = estimates(probe.problem, declaration, np.random.default_rng([seed, index]), calls)
        measured.append(Measurement(probe, parts, tuple(array.reshape(calls, -1) for array in arrays)))
    for check in compare(measured, declaration):
        assert check.status == "passed", check
        if check.se and check.question != "direction":  # whose bound is on a squared norm
            allowed = check.smallest_detectable - MISSED * check.se
            yield check.question, abs(check.measured - check.expected) / allowed


def main() -> None:
    """Run a trial and print its counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit_power", description=__doc__.splitlines()[0])
    parser.add_argument("trial", choices=("correct", "calibration", "slips", "unknown"))
    parser.add_argument("--returns", choices=RETURNS, default="weight-gradient")
    parser.add_argument("--target", choices=TARGETS, default="projected")
    parser.add_argument("--response", default="output")
    parser.add_argument("--noise", default="gaussian")
    parser.add_argument("--simultaneous", action="store_true")
    parser.add_argument("--backend", choices=NAMESPACES, default="numpy")
    parser.add_argument("--activations", nargs="+", default=list(ACTIVATIONS))
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--budget", type=float, default=60.0)
    options = parser.parse_args()
    began, seeds = time.monotonic(), range(options.first, options.first + options.seeds)
    if options.trial == "correct":
        verdicts = Counter(
            correct(options.returns, options.target, options.response, options.backend, seed, options.budget).verdict
            for seed in seeds
        )
        print(dict(verdicts))
    elif options.trial == "calibration":
        declaration = declare(options.returns, options.target, options.noise, options.response, options.simultaneous)
        used: dict[str, list[float]] = {}
        for seed in seeds:
            for calls in (4, 32, 256):
                for question, share in used_by_chance(declaration, seed, calls):
                    used.setdefault(f"{question}, {calls} calls", []).append(share)
        for question, shares in used.items():
            print(f"{question}: {len(shares)} comparisons, at most {max(shares):.2f} of the bound used")
    else:
        names = applicable(options.returns, options.target) if options.trial == "slips" else UNKNOWN
        for name in names:
            for activation in options.activations:
                if (name, activation) not in HARMLESS:
                    reports = [
                        slipped(options.returns, options.target, name, activation, seed, options.budget)
                        for seed in seeds
                    ]
                    print(_counts(name, activation, reports), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


def _counts(name: str, activation: str, reports: list[Report]) -> str:
    verdicts = Counter(report.verdict for report in reports)
    first = Counter(report.explanations[0].name if report.explanations else "unexplained" for report in reports)
    seconds = sorted(report.seconds for report in reports)
    return (
        f"{name}, {activation}: defect {verdicts['defect']}/{len(reports)}; first {dict(first)}; "
        f"median {seconds[len(seconds) // 2]:.1f} s, longest {seconds[-1]:.1f} s"
    )


if __name__ == "__main__":
    main()
