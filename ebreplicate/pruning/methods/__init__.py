"""Pruning methods: one small pure function each, `method(DrawContext) -> BoolTensor[N]` (True = kept).

To add one: a file here with the function, one line in `METHODS` (ebreplicate/catalog.py), its published numbers.
The contract tests then cover it.
"""
