"""What a docstring promises a caller: shapes of tensors, units of numbers, the errors for bad input.

Read from the source, so that nothing is imported: the API reference itself is built by `make docs`.
"""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ebreplicate"
SHAPE = re.compile(r"\([A-Za-z0-9_.|*+/ ]*,[^)]*\)|\bshapes?\b|\bscalar\b|\bflat\b", re.I)
UNIT = re.compile(
    r"\b(FLOPs|J|kJ|pJ|joules|MB|seconds|epochs?|percent|points|multiply-adds|parameters|energy|energies|images|fractions?|mean|%)"
    r"|\[0, 1\]",
    re.I,
)
MEASURING = ("cost.py", "energy.py", "sparse_flops.py", "stats.py")
"""Modules whose numbers have units."""


def functions():
    """(file, class or None, function) of every public function and method of a public class."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield path, None, node
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        yield path, node, method


ALL = list(functions())
METHODS = {(owner.name, f.name): f for _, owner, f in ALL if owner}
BASES = {owner.name: [ast.unparse(b) for b in owner.bases] for _, owner, _ in ALL if owner}


def promise(owner, function):
    """Docstring of a function; of a method that overrides one, also what it overrides: the contract is inherited."""
    text = ast.get_docstring(function) or ""
    waiting = list(BASES[owner.name]) if owner else []
    while waiting:
        base = waiting.pop()
        if (base, function.name) in METHODS:
            text += ast.get_docstring(METHODS[base, function.name]) or ""
        waiting += BASES.get(base, [])
    return text


def types(function):
    """Text of every annotation of a signature."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [a.annotation for a in arguments] + [function.returns]
    return " ".join(ast.unparse(a) for a in annotations if a is not None)


def refuses(function):
    """True if the function itself raises UserError."""
    raised = (ast.unparse(n.exc) for n in ast.walk(function) if isinstance(n, ast.Raise) and n.exc is not None)
    return any(text.startswith(("UserError(", "unknown(")) for text in raised)


def missing(wanted, said):
    """Names of the functions that `wanted` selects and whose docstring `said` does not match."""
    found = []
    for path, owner, function in ALL:
        if wanted(path, function) and not said.search(promise(owner, function)):
            name = f"{owner.name}.{function.name}" if owner else function.name
            found.append(f"{path.relative_to(PACKAGE.parent)}:{function.lineno} {name}")
    return found


@pytest.mark.parametrize(
    ("wanted", "said", "at_least"),
    [
        (lambda _, f: re.search(r"\b(Tensor|ndarray)\b", types(f)), SHAPE, 80),
        (lambda p, f: p.name in MEASURING and f.returns is not None and "float" in ast.unparse(f.returns), UNIT, 10),
        (lambda _, f: refuses(f), re.compile(r"\braises?\b", re.I), 30),
    ],
    ids=["shapes", "units", "errors"],
)
def test_docstrings_say(wanted, said, at_least):
    assert sum(1 for path, _, f in ALL if wanted(path, f)) >= at_least  # the search itself finds what there is
    assert missing(wanted, said) == []


def test_the_search_sees_what_is_missing():
    bare = ast.parse('def f(x: Tensor) -> None:\n    """Do it."""\n    raise UserError("no")').body[0]
    assert "Tensor" in types(bare)
    assert refuses(bare)
    assert not SHAPE.search(promise(None, bare))
