"""What was drawn from an estimator so far, and drawing more of it."""

from __future__ import annotations

import functools

import numpy as np

from nmnc_ref.oracle.audit.checks import ROUNDING, Measurement
from nmnc_ref.oracle.audit.experiment import Part
from nmnc_ref.oracle.audit.probes import expected_at, probes
from nmnc_ref.oracle.audit.problem import Declaration
from nmnc_ref.oracle.audit.session import Fault, Session, fingerprint


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
        self._pristine = tuple(fingerprint(probe.problem) for probe in self.probes)
        self._rows: list[list[list[np.ndarray]]] = [[] for _ in self.probes]
        step, offset = np.random.default_rng([seed, 0x73656564]).integers(2**31, size=2)
        self._step, self._offset, self._issued = 2 * int(step) + 1, int(offset), 0

    @functools.cache  # noqa: B019 — as long as the audit lives
    def parts(self, index: int) -> tuple[Part, ...]:
        """Return what is expected of a probe."""
        return expected_at(self.probes[index], self.declaration, self.seed)

    def extend(self, index: int, calls: int) -> None:
        """Draw from a probe until it has so many calls.

        Raises:
            Fault, Spent: see `Session.call`; Fault also for inputs that were written to.
        """
        rows = self._rows[index]
        for seed in [self._seed() for _ in range(calls - len(rows))]:
            rows.append(self._estimate(index, seed))  # one by one, as what came before a fault or the end is kept
        self._expect_untouched(index)

    def ask_twice(self, index: int) -> None:
        """Ask a probe with one seed twice.

        Raises:
            Fault: the answers differ; or as `extend`.
        """
        seed = self._seed()
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
            rows = np.array([np.concatenate([row[number] for number in random]) for row in self._rows[index]])
            distinct = len(np.unique(rows, axis=0))
            if distinct <= len(rows) / 2 and np.any(rows):
                name = self.probes[index].name
                raise Fault("ignores its seed", f"{distinct} different estimates from {len(rows)} seeds ({name})")

    def measurements(self) -> list[Measurement]:
        """Return what was drawn from every probe that has been asked."""
        return [
            Measurement(probe, self.parts(index), tuple(map(np.array, zip(*rows, strict=True))))
            for index, (probe, rows) in enumerate(zip(self.probes, self._rows, strict=True))
            if rows
        ]

    def _seed(self) -> int:
        self._issued += 1
        return (self._step * self._issued + self._offset) % 2**32

    def _estimate(self, index: int, seed: int) -> list[np.ndarray]:
        return self.session.call(self.probes[index].problem, self.parts(index), seed)

    def _expect_untouched(self, index: int) -> None:
        if fingerprint(self.probes[index].problem) != self._pristine[index]:
            raise Fault("mutates its inputs", "an array of the problem is not what it was before the call")
