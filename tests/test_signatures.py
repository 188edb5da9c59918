"""Third and later arguments are named where they are passed: two dates in the wrong order would be a leak."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("features", "models", "recompra", "serving", "training")
STATISTICS = "models/processes/"  # x, t_x and T are passed as the papers write them
BY_VALUE = {"without", "inside", "interval_score", "qini"}  # passed as callables: no names there


def functions(tree: ast.AST, of_class: bool = False) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Yield every function, and whether its first parameter is the object or class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            static = "staticmethod" in {ast.unparse(one) for one in node.decorator_list}
            yield node, of_class and not static
        yield from functions(node, isinstance(node, ast.ClassDef))


def is_magic(function: ast.FunctionDef) -> bool:
    """Tell whether Python calls it; ``__init__`` is called as its class."""
    return function.name.startswith("__") and function.name != "__init__"


def is_free(function: ast.FunctionDef) -> bool:
    """Tell whether others decide how it is called: Python, the compiler, or a callable's type."""
    compiled = any("compiled" in ast.unparse(one) for one in function.decorator_list)
    return compiled or function.name in BY_VALUE or is_magic(function)


def allowed(function: ast.FunctionDef) -> int:
    """Return how many arguments may be passed by position; a private function is read beside its calls."""
    return 3 if function.name.startswith("_") and function.name != "__init__" else 2


def test_third_and_later_arguments_are_passed_by_name() -> None:
    wrong = []
    for path in (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))):
        name = path.relative_to(ROOT).as_posix()
        for function, of_class in functions(ast.parse(path.read_text(encoding="utf-8"))):
            n_positional = len(function.args.posonlyargs + function.args.args) - of_class
            if n_positional > allowed(function) and not is_free(function) and STATISTICS not in name:
                wrong.append(f"{name}:{function.lineno} {function.name}")
    assert not wrong
