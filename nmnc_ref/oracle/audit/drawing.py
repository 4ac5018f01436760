"""What was drawn from an estimator so far, and drawing more of it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nmnc_ref.oracle.audit.check import FEWEST, ROUNDING, Measurement
from nmnc_ref.oracle.audit.expected import Part
from nmnc_ref.oracle.audit.probes import expected_at, probes
from nmnc_ref.oracle.audit.problem import Declaration
from nmnc_ref.oracle.audit.session import Fault, Session, fingerprint, form


class Drawing:
    """Independent estimates of every probe.

    The seeds given are distinct and spread over [0, 2³²), so that estimators that add small numbers to them do not
    meet their own seeds again.
    """

    def __init__(
        self, session: Session, declaration: Declaration, seed: int, activations: tuple[str, ...], judge: str
    ) -> None:
        self.session, self.declaration, self.seed, self.judge = session, declaration, seed, judge
        every = probes(declaration, seed, activations)
        self.probes = tuple(probe for probe in every if probe.linear or judge == "kind")
        self._activations = activations
        self._pristine = tuple(fingerprint(probe.problem) for probe in self.probes)
        self._drawn: dict[Any, list[list[np.ndarray]]] = {}
        self._expected: dict[int, tuple[Part, ...]] = {}
        half, start = map(int, np.random.default_rng([seed, int.from_bytes(b"seed")]).integers(2**31, size=2))
        odd = 2 * half + 1  # so that none recurs before all have been
        self._seeds = (each % 2**32 for each in itertools.count(start + odd, odd))

    def of_kind(self, kind: Declaration) -> Drawing:
        """Return a drawing for another kind, to which what was drawn belongs wherever both ask the same problem."""
        other = Drawing(self.session, kind, self.seed, self._activations, self.judge)
        other._drawn, other._seeds = self._drawn, self._seeds
        return other

    def parts(self, index: int) -> tuple[Part, ...]:
        """Return what is expected of a probe."""
        if index not in self._expected:
            self._expected[index] = expected_at(self.probes[index], self.declaration, self.seed)
        return self._expected[index]

    def extend(self, index: int, calls: int) -> None:
        """Draw from a probe until it has so many calls.

        Raises:
            Fault, Spent: see `Session.call`; Fault also for inputs that were written to.
        """
        rows = self._rows(index)
        for _ in range(calls - len(rows)):  # one by one, as what came before a fault or the end is kept
            rows.append(self._estimate(index, next(self._seeds)))
        self._expect_untouched(index)

    def ask_twice(self, index: int) -> None:
        """Ask a probe with one seed twice.

        Raises:
            Fault: the answers differ; or as `extend`.
        """
        seed = next(self._seeds)
        first, second = (self._estimate(index, seed) for _ in range(2))
        self._expect_untouched(index)
        for part, one, other in zip(self.parts(index), first, second, strict=True):
            if np.linalg.norm(one - other) > ROUNDING * np.linalg.norm(one):
                what = f"{part.name} differs between two calls with the seed {seed}"
                raise Fault(
                    "does not repeat", f"{what} (dropout of a module in training mode, a generator of its own?)"
                )

    def expect_variety(self, index: int) -> None:
        """Ask whether seeds matter (of coefficients ±1 a few estimates may recur, and no response has no noise).

        Raises:
            Fault: at most half of the estimates differ.
        """
        random = [number for number, part in enumerate(self.parts(index)) if np.any(part.covariance)]
        if random:
            rows = np.array([np.concatenate([row[number] for number in random]) for row in self._rows(index)])
            distinct = len(np.unique(rows, axis=0))
            if distinct <= len(rows) / 2 and np.any(rows):
                name = self.probes[index].name
                raise Fault("ignores its seed", f"{distinct} different estimates from {len(rows)} seeds ({name})")

    def measurements(self) -> list[Measurement]:
        """Return what was drawn from every probe that was asked often enough to be judged."""
        enough = (index for index in range(len(self.probes)) if len(self._rows(index)) >= FEWEST)
        return [self.measurement(index) for index in enough]

    def measurement(self, index: int) -> Measurement:
        """Return what was drawn from a probe."""
        rows, parts = self._rows(index), self.parts(index)
        samples = tuple(np.array([row[number] for row in rows]) for number, _ in enumerate(parts))
        return Measurement(self.probes[index], parts, samples)

    @property
    def calls(self) -> dict[str, int]:
        """How often each probe was asked, by its name."""
        return {probe.name: len(self._rows(index)) for index, probe in enumerate(self.probes)}

    def _rows(self, index: int) -> list[list[np.ndarray]]:
        """Return the estimates of a probe, to which others can be added."""
        return self._drawn.setdefault((self._pristine[index], form(self.probes[index].problem)), [])

    def _estimate(self, index: int, seed: int) -> list[np.ndarray]:
        return self.session.call(self.probes[index].problem, self.parts(index), seed)

    def _expect_untouched(self, index: int) -> None:
        if fingerprint(self.probes[index].problem) != self._pristine[index]:
            raise Fault("mutates its inputs", "an array of the problem is not what it was before the call")
