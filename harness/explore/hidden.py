"""Whether a suspended frame holds something that its variables do not show.

A state of an execution is recognised by what can be seen: the variables of the frames and what they
lead to. While an expression is half evaluated the interpreter also holds what its earlier parts came
to, the iterator of a ``for`` loop, or what a ``return`` is about to hand out past a ``finally``. Where
in the source a frame stands tells whether there can be such a thing; if so, `state` calls the state
unknown and nothing is concluded from it.
"""

from __future__ import annotations

import ast
import dis
import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from .track import TRACKED

if TYPE_CHECKING:
    from types import CodeType

#: Attributes that may change: evaluated early, they are not what they would be evaluated now.
_CHANGING = frozenset(
    name for values, containers in TRACKED.values() for name in (values + " " + containers).split()
)

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_COMPREHENSION_CODE = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
#: What is evaluated before anything else of it is, or instead: nothing is held meanwhile.
_ONE_AT_A_TIME = (
    ast.Attribute, ast.Await, ast.BoolOp, ast.Expr, ast.If, ast.IfExp, ast.keyword, ast.Module,
    ast.NamedExpr, ast.Return, ast.Starred, ast.UnaryOp, ast.While, ast.Yield, ast.YieldFrom,
    ast.Raise, ast.ExceptHandler, ast.FormattedValue, ast.withitem,
)  # fmt: skip

#: Where a coroutine stands that has not run yet.
_NOT_BEGUN = dis.opmap.get("RETURN_GENERATOR", -1)

_Place = tuple[int, int]


@functools.cache
def hides(code: CodeType, instruction: int) -> bool:
    """Tell whether a frame of `code` that stands at an instruction may hold what cannot be seen.

    Args:
        code: what the frame runs.
        instruction: its `f_lasti`, in bytes.
    """
    if instruction < 0 or code.co_code[instruction] == _NOT_BEGUN:
        return False
    if code.co_name in _COMPREHENSION_CODE:
        return True
    positions = next(itertools.islice(code.co_positions(), instruction // 2, None))
    line, end_line, column, end_column = positions
    if line is None or end_line is None or column is None or end_column is None:
        return True
    tree = _parse(code.co_filename)
    return tree is None or _hidden(_chain(tree, (line, column), (end_line, end_column)))


@functools.cache
def _parse(filename: str) -> ast.Module | None:
    try:
        return ast.parse(Path(filename).read_bytes())
    except (OSError, SyntaxError):
        return None


def _chain(tree: ast.AST, begin: _Place, end: _Place) -> list[ast.AST]:
    """Return the nodes around a piece of the source, the innermost last."""
    chain = [tree]
    found: ast.AST | None = tree
    while found is not None:
        found = next((child for child in _children(chain[-1]) if _covers(child, begin, end)), None)
        if found is not None:
            chain.append(found)
    return chain


def _children(node: ast.AST) -> list[ast.AST]:
    """Return the child nodes that have a place; `with` items are passed through."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.withitem):
            found += ast.iter_child_nodes(child)
        elif hasattr(child, "lineno"):
            found.append(child)
        else:
            found += [part for part in ast.iter_child_nodes(child) if hasattr(part, "lineno")]
    return found


def _covers(node: ast.AST, begin: _Place, end: _Place) -> bool:
    first: _Place = (node.lineno, node.col_offset)  # type: ignore[attr-defined]  # it has a place
    last: _Place = (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]  # as above
    return first <= begin and end <= last


def _hidden(chain: list[ast.AST]) -> bool:
    """Tell whether something on the way from the function to the innermost node is held."""
    for index in range(len(chain) - 1, 0, -1):
        node, child = chain[index - 1], chain[index]
        if isinstance(node, _FUNCTIONS):
            return False  # the frame is of this function; what is around it is another one's
        if _holds(node, child, innermost=index == len(chain) - 1):
            return True
    return False


def _holds(node: ast.AST, child: ast.AST, *, innermost: bool) -> bool:
    """Tell whether `node` holds something while its part `child` is evaluated."""
    match node:
        case _ if isinstance(node, _ONE_AT_A_TIME):
            return False
        case ast.With() | ast.AsyncWith():
            return child not in node.body and len(node.items) > 1
        case ast.For():
            return child in node.body and not _steady(node.iter)
        case ast.Try():
            return child in node.finalbody and any(map(_returns, (*node.body, *node.handlers)))
        case ast.BinOp():
            return child is node.right and not _steady(node.left)
        case ast.Compare():
            earlier = [node.left, *node.comparators]
            return not all(map(_steady, earlier[: earlier.index(child)]))  # type: ignore[arg-type]  # one of them
        case ast.Call():
            parts = [node.func, *node.args, *(item.value for item in node.keywords)]
            if child not in parts:
                return True
            return not all(map(_steady, parts[: parts.index(child)]))
        case ast.Subscript():
            return child is node.slice and not _steady(node.value)
        case ast.Tuple() | ast.List():
            if not isinstance(node.ctx, ast.Load):
                return True
            return not all(map(_steady, node.elts[: node.elts.index(child)]))  # type: ignore[arg-type]  # one of them
        case ast.Assign():
            # The store itself has its value in hand; what leads to it has not.
            return child is not node.value and (
                len(node.targets) > 1 or not (innermost or _steady(node.value))
            )
        case ast.AnnAssign():
            return child is not node.value and not innermost
        case ast.AugAssign():
            return child is node.value and not isinstance(node.target, ast.Name)
        case _:
            return True


def _returns(node: ast.AST) -> bool:
    """Tell whether a statement of a ``try`` can return something that is not plain to see."""
    if isinstance(node, _FUNCTIONS):
        return False
    if isinstance(node, ast.Return) and node.value is not None and not _steady(node.value):
        return True
    return any(map(_returns, ast.iter_child_nodes(node)))


def _steady(node: ast.AST) -> bool:
    """Tell whether an expression evaluated early is the same when it is evaluated now."""
    match node:
        case ast.Constant() | ast.Name() | ast.Lambda():
            return True
        case ast.Attribute():
            return node.attr not in _CHANGING and _steady(node.value)
        case ast.Tuple():
            return all(map(_steady, node.elts))
        case ast.UnaryOp():
            return _steady(node.operand)
        case _:
            return False
