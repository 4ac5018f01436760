"""The benchmark: what the method and this library cost, as ratios to named baselines measured in the same run.

`row` says what a row of the table is; `timing` takes turns; the modules below hold the rows: `training`, `estimates`,
`draws`, `manifolds`, `compiling`, `growth`, `devices`; `worker` measures one row, `command` all.
"""
