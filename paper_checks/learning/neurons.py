"""Claim L6-neurons: whose representations are like those of neurons that see the same images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from paper_checks.claim import Results, claim
from paper_checks.comparison import Comparison, above_zero, resampled
from paper_checks.data.supplied import Supplied
from paper_checks.lab import Lab
from paper_checks.learning.accuracy import NAMES
from paper_checks.learning.cifar import learners
from paper_checks.learning.experiments.cifar import CifarLearner
from paper_checks.learning.experiments.cifar_measures import unpack

TRAINED = ("backpropagation", "vnc", "nmnc")
RULES = (*TRAINED, "untrained")
HIDDEN = ("layer 1", "layer 2", "layer 3")
RESAMPLES = 2_000
AT_A_TIME = 50
"""Samples of which the weights of all pairs of stimuli are held."""


class Likeness(NamedTuple):
    """`ranks`: of the dissimilarities of networks, [rule, layer, network, pair]; `references`: those of neurons, by
    name, and `of_references`: their ranks, [reference, pair]; `stimuli`: their number.
    """

    ranks: np.ndarray
    references: dict[str, np.ndarray]
    of_references: np.ndarray
    stimuli: int

    def correlations(self, weights: np.ndarray) -> np.ndarray:
        """Return correlations of ranks, [..., rule, layer, network, reference], for weights of pairs [..., pair]."""
        scores = [self.ranks.reshape(-1, self.ranks.shape[-1]), self.of_references]
        whole = weights.sum(axis=-1)[..., None]
        first, second = (weights @ each.T / whole for each in scores)  # means
        squares, other_squares = (weights @ (each**2).T / whole for each in scores)
        products = np.stack([weights @ (scores[0] * each).T / whole for each in self.of_references], axis=-1)
        covariance = products - first[..., :, None] * second[..., None, :]
        variances = (squares - first**2)[..., :, None] * (other_squares - second**2)[..., None, :]
        return (covariance / np.sqrt(variances)).reshape(*weights.shape[:-1], *self.ranks.shape[:-1], -1)


def _compared(supplied: Supplied) -> list[CifarLearner]:
    return [each for rule in TRAINED for each in learners(supplied, rule)]


def likeness(results: Results, reordered: bool = False) -> Likeness:
    """Return what networks and neurons make of the same stimuli, or neurons of stimuli in reversed order; the networks
    are those of seeds that no rule lost.

    Raises:
        ValueError: fewer than two seeds are left.
    """
    found = {(each.rule, each.seed): run for each, run in results.items()}
    first, *_ = results
    recorded = first.recording.read()
    whole = {key for key, run in found.items() if None not in run.get("after", [None])}
    seeds = [seed for seed in sorted({seed for _, seed in found}) if {(rule, seed) for rule in TRAINED} <= whole]
    if len(seeds) < 2:
        raise ValueError(f"networks: expected at least two seeds at which every rule trained one, got {len(seeds)}")
    kept = [[found[rule, seed]["after"] for seed in seeds] for rule in TRAINED]
    kept.append([found["backpropagation", seed]["before"] for seed in seeds])
    pairs = np.array([[[unpack(layer) for layer in network] for network in networks] for networks in kept])
    references = recorded.dissimilarities
    if reordered:
        size = recorded.stimuli.shape[0]
        rows, columns = (size - 1 - each for each in np.triu_indices(size, 1))
        position = np.zeros((size, size), dtype=int)
        position[np.triu_indices(size, 1)] = np.arange(rows.shape[0])
        references = {name: each[position[columns, rows]] for name, each in references.items()}
    from scipy import stats

    ranks = stats.rankdata(pairs.swapaxes(1, 2), axis=-1)
    of_references = np.stack([stats.rankdata(each) for each in references.values()])
    return Likeness(ranks, references, of_references, recorded.stimuli.shape[0])


def pair_weights(counts: np.ndarray) -> np.ndarray:
    """Return how often each pair of different stimuli is in a sample that has each stimulus so often, [..., pairs]."""
    rows, columns = np.triu_indices(counts.shape[-1], 1)
    return (counts[..., rows] * counts[..., columns]).astype(np.float64)


def _drawn(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return how often each of so many things is in each of `RESAMPLES` samples with replacement."""
    return rng.multinomial(size, np.full(size, 1 / size), RESAMPLES)


@claim(
    "L6-neurons",
    "Hidden layers that NMNC trains on CIFAR-10 are more like neurons of inferior temporal cortex than those that VNC "
    "trains, by the ranks of dissimilarities of the same stimuli.",
    formula=r"\mathrm{RSA}(X_{\mathrm{NMNC}}, \mathrm{IT}) > \mathrm{RSA}(X_{\mathrm{VNC}}, \mathrm{IT})",
    source="abstract",
    rung="trained networks",
    twins={
        "neurons that saw the stimuli in another order": {"reordered": True},
        "the rules exchanged": {"manifold": "vnc", "isotropic": "nmnc"},
        "the initial network for NMNC's": {"manifold": "untrained"},
    },
    experiments=_compared,
    needs=("cifar", "neural"),
)
def neurons(
    lab: Lab, results: Results, manifold: str = "nmnc", isotropic: str = "vnc", reordered: bool = False
) -> Iterator[Comparison]:
    """The convolutional networks of L2-CIFAR and the recorded stimuli, brought to 32×32 pixels; Spearman's correlation
    of the dissimilarities of each layer with those of the neurons, a mean over networks, with 95 % intervals by
    drawing stimuli and networks anew together. Asserted for the first recording of a file, reported for others.
    """
    found = likeness(results, reordered)
    rng = np.random.default_rng(lab.seed)
    networks = _drawn(rng, found.ranks.shape[2]) / found.ranks.shape[2]
    counts = _drawn(rng, found.stimuli)
    mean = found.correlations(np.ones(found.ranks.shape[-1])).mean(axis=2)  # [rule, layer, reference]
    parts = [
        np.einsum("srlnf,sn->srlf", found.correlations(pair_weights(counts[part])), networks[part])
        for part in np.array_split(np.arange(RESAMPLES), RESAMPLES // AT_A_TIME)
    ]
    spread = np.concatenate(parts)
    better, worse = RULES.index(manifold), RULES.index(isotropic)
    for index, reference in enumerate(found.references):
        more, less = (
            [each[..., rule, : len(HIDDEN), index].mean(axis=-1) for each in (mean, spread)] for rule in (better, worse)
        )
        name = f"RSA with {reference}, mean over hidden layers, {manifold} − {isotropic}"
        compare = resampled if index else above_zero
        yield compare(name, *(high - low for high, low in zip(more, less, strict=True)))
    for index, reference in enumerate(found.references):
        for rule, called in enumerate(RULES):
            for layer, name in enumerate((*HIDDEN, "output")):
                values = mean[rule, layer, index], spread[:, rule, layer, index]
                alike = resampled(f"RSA of {NAMES.get(called, called)} with {reference}, {name}", *values)
                yield alike.at(quantity="RSA", rule=NAMES.get(called, called), reference=reference, layer=name)
