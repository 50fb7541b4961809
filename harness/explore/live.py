"""Which variables of a suspended frame will be read again: the others make no difference.

Liveness, as compilers work it out: backwards over the instructions of a function until nothing
changes. An instruction inside a ``try`` may also go on at the handler.
"""

from __future__ import annotations

import dis
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_END = frozenset({"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"})
_JUMP = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"})


@functools.cache
def live(code: CodeType, instruction: int) -> tuple[int, tuple[str, ...]]:
    """Return where a frame stands, and which variables it still reads, those in cells included.

    Args:
        code: what the frame runs.
        instruction: its `f_lasti`, in bytes. It may point behind the instruction proper, into
            its cache.
    """
    everything = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    if instruction < 0:
        return instruction, everything
    after = _after(code)
    while instruction not in after:
        instruction -= 2
    cells = {*code.co_cellvars, *code.co_freevars}
    return instruction, tuple(
        name for name in everything if name in after[instruction] or name in cells
    )


@functools.cache
def _after(code: CodeType) -> dict[int, frozenset[str]]:
    """Return which variables are read after each instruction, or by a handler of it."""
    body = [item for item in dis.Bytecode(code) if item.opname != "CACHE"]
    numbers = {item.offset: index for index, item in enumerate(body)}
    handlers: list[list[int]] = [[] for _ in body]
    for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]  # it has them
        for index, item in enumerate(body):
            if entry.start <= item.offset < entry.end:
                handlers[index].append(numbers[entry.target])
    before: list[frozenset[str]] = [frozenset()] * len(body)
    after: list[frozenset[str]] = [frozenset()] * len(body)
    changed = True
    while changed:
        changed = False
        for index in range(len(body) - 1, -1, -1):
            item = body[index]
            following = list(handlers[index])
            if item.opname not in _END | _JUMP and index + 1 < len(body):
                following.append(index + 1)
            if item.opcode in dis.hasjrel or item.opcode in dis.hasjabs:
                following.append(numbers[item.argval])
            out: frozenset[str] = frozenset().union(*(before[number] for number in following))
            into = (out - _written(item)) | _read(item)
            for number in handlers[index]:
                into |= before[number]  # it may go there before it has written
            after[index] = out
            if into != before[index]:
                before[index], changed = into, True
    return {item.offset: names for item, names in zip(body, after, strict=True)}


def _read(item: dis.Instruction) -> frozenset[str]:
    if item.opname.startswith(("LOAD_FAST", "LOAD_CLOSURE", "DELETE_FAST", "STORE_FAST_LOAD")):
        names = item.argval if isinstance(item.argval, tuple) else (item.argval,)
        return frozenset(names)
    return frozenset()


def _written(item: dis.Instruction) -> frozenset[str]:
    # Those of several variables at once count as reading them, which is never wrong.
    return frozenset({item.argval}) if item.opname in {"STORE_FAST", "DELETE_FAST"} else frozenset()
