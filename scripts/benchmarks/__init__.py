"""Ratios of sgoped's speed, memory and ranking to baselines measured in the same run.

Absolute times mean nothing on a shared machine, so every figure is a row with our value, the
value of a baseline that was sampled in turn with it, and their ratio. ``figures.FIGURES`` is the
list of what can be measured; a new figure is a module with a function from a ``Bench`` to rows
and one line there. How to run it: ``scripts/bench --help``.
"""
