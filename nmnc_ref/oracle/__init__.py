"""The oracle: is another implementation right, and if not, where does it first go wrong?

It stands on top of the library: nothing in `nmnc_ref` imports it. `vectors` holds golden vectors and their runner,
`audit` the audit of estimators that can only be called.
"""

from nmnc_ref.oracle.audit.run import audit, problems

__all__ = ["audit", "problems"]
