"""Tests that a table names: `file::test`, below tests/, and `[case]` if one case is meant."""

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent.parent
#: `skipif` says where a test cannot run, such as without root.
_SKIPS = ("skip", "xfail")


def fault(named: str) -> str:
    """Return what is wrong with the name of a test: it does not exist, or is skipped. Empty if nothing is."""
    file, _, rest = named.partition("::")
    name, _, case = rest.removesuffix("]").partition("[")
    if not (TESTS / file).exists():
        return f"{named}: no such file"
    tree, text = _parsed(file)
    function = next(
        (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None
    )
    if function is None:
        return f"{named}: no such test"
    if any(_skips(decorator) for decorator in function.decorator_list) or _module_skips(tree):
        return f"{named}: it is skipped"
    # A case is a name in the file, or a file of the corpus beside it.
    if case and case not in text and not list((TESTS / file).parent.glob(f"*/{case}.*")):
        return f"{named}: no such case"
    return ""


@cache
def _parsed(file: str) -> tuple[ast.Module, str]:
    text = (TESTS / file).read_text()
    return ast.parse(text), text


def _skips(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in _SKIPS for part in ast.walk(node))


def _module_skips(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        and _skips(node.value)
        for node in tree.body
    )
