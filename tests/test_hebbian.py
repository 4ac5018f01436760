"""Local rules against their definitions, and against the subspaces and rates of convergence that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmnc_ref import alignment, hebbian, manifold
from paper_checks.lab import Lab

SPECTRUM = (4.0, 3.0, 2.0, 1.0, 0.3, 0.2, 0.1, 0.05)
N, D, RATE = 8, 3, 0.1
GAP = SPECTRUM[D - 1] - SPECTRUM[D]
SLOWEST = 1 - RATE * GAP
"""What is left of the angle after each step, in the end."""


def data(lab):
    """Return activity [40, n] with E[x xᵀ] = Q diag(λ) Qᵀ, the eigenvectors Q, and random weights to begin with."""
    eigenvectors = lab.orthonormal("eigenvectors", N, N)
    x = lab.orthonormal("samples", 40, N) * lab.array([np.sqrt(40 * np.array(SPECTRUM))]) @ eigenvectors.T
    return x, eigenvectors, lab.normal("weights", D, N) / math.sqrt(N)


def run(lab, rule, weight, x, steps, rate=RATE):
    rule = lab.jit(rule)
    for _ in range(steps):
        weight = rule(weight, x, rate)
    return weight


def angle(lab, weight, basis):
    return float(alignment.principal_angles(hebbian.basis(weight), basis)[-1])


def tolerance(lab):
    """Return the angle at which rounding in a step balances what the step gains."""
    return 32 * lab.eps * math.sqrt(N) / (1 - SLOWEST)


def hebb(weight, x, rate):
    output = x @ weight.T
    return weight + rate / x.shape[0] * (output.T @ x)


def upper(weight, x, rate):
    """Sanger's rule with the wrong triangle: each unit sees the units after it."""
    output = x @ weight.T
    seen = output.T @ output
    seen = seen * np.triu(np.ones((D, D), dtype=seen.dtype))
    return weight + rate / x.shape[0] * (output.T @ x - seen @ weight)


def test_steps_against_loops(lab):
    x, _, weight = data(lab)
    samples, w = lab.numpy(x), lab.numpy(weight)
    oja, sanger = np.zeros((D, N)), np.zeros((D, N))
    for sample in samples:
        y = w @ sample
        for k in range(D):
            oja[k] += y[k] * (sample - sum(y[j] * w[j] for j in range(D)))
            sanger[k] += y[k] * (sample - sum(y[j] * w[j] for j in range(k + 1)))
    for rule, change in ((hebbian.oja_step, oja), (hebbian.sanger_step, sanger)):
        want = w + RATE * change / len(samples)
        error = np.max(np.abs(lab.numpy(rule(weight, x, RATE)) - want))
        assert error <= 32 * lab.eps * math.sqrt(len(samples)) * np.max(np.abs(change)) / len(samples)


@pytest.mark.parametrize("rule", [hebbian.oja_step, hebbian.sanger_step])
def test_rules_find_the_principal_subspace(rule, lab):
    x, eigenvectors, weight = data(lab)
    # 500 steps leave SLOWEST^500 = 1e-23 of an angle: what remains is rounding
    learned = run(lab, rule, weight, x, 500)
    assert angle(lab, learned, manifold.fit(x, dimension=D).basis) <= tolerance(lab)
    assert angle(lab, learned, eigenvectors[:, :D]) <= tolerance(lab)
    gram = lab.numpy(learned @ learned.T)
    assert np.max(np.abs(gram - np.eye(D))) <= tolerance(lab)


def test_sanger_finds_the_eigenvectors_in_order_and_oja_does_not(lab):
    x, eigenvectors, weight = data(lab)
    overlap = {
        rule: np.abs(lab.numpy(run(lab, rule, weight, x, 500) @ eigenvectors[:, :D]))
        for rule in (hebbian.sanger_step, hebbian.oja_step)
    }
    assert np.max(np.abs(overlap[hebbian.sanger_step] - np.eye(D))) <= tolerance(lab)
    assert np.max(np.abs(overlap[hebbian.oja_step] - np.eye(D))) > 0.01


@pytest.mark.parametrize("rule", [hebbian.oja_step, hebbian.sanger_step])
def test_the_angle_shrinks_at_the_rate_of_the_gap(rule, backend):
    """1 − η (λ_d − λ_{d+1}) a step, once the faster parts are gone: ((1 − 1.7 η)/(1 − η))^180 = 5e-7."""
    lab = Lab(backend)  # in float64, as float32 reaches rounding first
    x, eigenvectors, weight = data(lab)
    early = run(lab, rule, weight, x, 180)
    late = run(lab, rule, early, x, 20)
    left = angle(lab, late, eigenvectors[:, :D]) / angle(lab, early, eigenvectors[:, :D])
    assert left ** (1 / 20) == pytest.approx(SLOWEST, rel=1e-5)


@pytest.mark.parametrize("rule", [hebbian.oja_step, hebbian.sanger_step])
def test_norms_settle_up_to_a_rate_of_one_over_the_largest_variance(rule):
    lab = Lab()
    x, eigenvectors, _ = data(lab)
    near = eigenvectors[:, :D].T + 1e-3 * lab.normal("off", D, N)
    for share, settles in ((0.95, True), (1.05, False)):
        learned = run(lab, rule, near, x, 200, rate=share / SPECTRUM[0])
        assert (np.max(np.abs(learned @ learned.T - np.eye(D))) < 1e-6) == settles


def test_wrong_rules_are_rejected():
    lab = Lab()
    x, eigenvectors, weight = data(lab)
    assert np.max(np.abs(hebb(weight, x, RATE))) > np.max(np.abs(weight))
    grown = run(lab, hebb, weight, x, 50)
    assert np.max(np.abs(grown @ grown.T - np.eye(D))) > 1e3  # without decay the norms grow without bound
    learned = run(lab, upper, weight, x, 500)
    assert angle(lab, learned, eigenvectors[:, :D]) <= tolerance(lab)
    assert np.max(np.abs(np.abs(learned @ eigenvectors[:, :D]) - np.eye(D))) > 0.9  # in the opposite order
    minus = run(lab, lambda w, x, rate: 2 * w - hebbian.oja_step(w, x, rate), weight / 100, x, 20)
    assert angle(lab, minus, eigenvectors[:, :D]) > 0.1


def test_batches_in_turn_leave_an_angle_of_the_order_of_the_rate():
    lab = Lab()
    x, _, weight = data(lab)
    basis = manifold.fit(x, dimension=D).basis
    rates, angles = (0.01, 0.005, 0.0025), []
    for rate in rates:
        learned = weight
        for _ in range(round(5 / rate)):  # passes; exp(−4 · 5) of the start is left
            for part in range(4):
                learned = hebbian.oja_step(learned, x[10 * part : 10 * part + 10, :], rate)
        angles.append(angle(lab, learned, basis))
    assert np.polyfit(np.log(rates), np.log(angles), 1)[0] == pytest.approx(1, abs=0.05)


def test_basis_keeps_the_span_and_the_order(lab):
    _, _, weight = data(lab)
    basis = hebbian.basis(weight)
    rows = lab.numpy(weight)
    coefficients = np.tril(rows @ lab.numpy(basis))
    assert np.max(np.abs(coefficients @ lab.numpy(basis).T - rows)) <= 32 * lab.eps * math.sqrt(N)


def test_whether_rows_are_independent_does_not_depend_on_their_lengths(lab):
    rows = lab.numpy(lab.normal("rows", 100, 20_000))
    rows[-1] *= 0.02
    assert hebbian.basis(lab.array(rows)).shape == (20_000, 100)
    rows[-1] = 0.02 * (rows[0] + rows[1])
    with pytest.raises(ValueError, match="weight: expected linearly independent vectors"):
        hebbian.basis(lab.array(rows))
