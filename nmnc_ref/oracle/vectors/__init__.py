"""Golden vectors: small cases with the value of every stage, and a runner that names the first stage to go wrong."""
