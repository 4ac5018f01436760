"""Fast versions of readable functions, beside them and tested equal to them; nothing in the library depends on them.

`training`: a whole training step, with `direct` and `through_time`, which learn feedback; `factored`:
estimates in the coordinates of the manifold; `gram`: the manifold by the smaller Gram matrix. Of JAX alone:
`convolved`: its own convolution; `scanned`: recurrent networks as one loop; `streamed`: any number of draws in bounded
memory, on many devices.
"""
