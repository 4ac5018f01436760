"""Fast versions of readable functions, beside them and tested equal to them; nothing in the library depends on them.

`factored`: estimates in the coordinates of the manifold; `direct`: a whole training step by direct feedback;
`recurrent`: loops of the library's own; `streamed`: perturbations in chunks, over many devices.
"""
