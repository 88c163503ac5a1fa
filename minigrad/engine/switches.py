"""Switches for recording: blocks that end as they began, whatever happens in between.

Ctrl-C may come between any two steps. So a block takes effect inside its ``try``, and its end may
run twice. Each block undoes only its own change, because the blocks of two generators that run
alternately need not end in the reverse of the order in which they began.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Generator
from contextlib import _GeneratorContextManager, contextmanager
from typing import Any, Self, TypeVar, overload

from minigrad.engine.node import STATE, State

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def afterwards(undo: Callable[[], object]) -> Generator[None]:
    """Call ``undo`` at the end of the block, and once more if Ctrl-C interrupts it."""
    try:
        yield
    finally:
        try:
            undo()
        except BaseException:
            undo()
            raise


class Block:
    """A ``with`` block that calls ``_begin`` and ``_end``, even after Ctrl-C inside one of them.

    ``_end`` undoes what has been done, all of ``_begin`` or a part, and may run twice.
    """

    def _begin(self) -> None: ...

    def _end(self) -> None: ...

    def __enter__(self) -> Self:
        try:
            self._begin()
            return self
        except BaseException:  # then __exit__ is not called
            self._end()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        except BaseException:
            self._end()
            raise


class replaced:
    """A block in which the state has these fields changed; its end restores the state before.

    Entering returns the state before. It is not a generator, because Python might finish that late,
    and this one restores a whole state.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> State:
        self._before = before = STATE.get()
        try:
            STATE.set(before.replace(**self._changes))
            return before
        except BaseException:  # Ctrl-C: then __exit__ is not called
            STATE.set(before)
            raise

    def __exit__(self, *_: object) -> None:
        STATE.set(self._before)


class Switch(_GeneratorContextManager[None]):
    """A block that can decorate functions, generators, coroutines, async generators."""

    def __call__(self, function: F) -> F:
        """The function, with the block around each of its steps."""
        made: F = _in_steps(self._recreate_cm, function)
        return made


def _not_recording() -> Generator[None]:
    pause = object()

    def resume() -> None:
        state = STATE.get()
        rest = tuple(p for p in state.pauses if p is not pause)
        if len(rest) < len(state.pauses):
            STATE.set(state.replace(recording=not rest, pauses=rest))

    with afterwards(resume):
        state = STATE.get()
        STATE.set(state.replace(recording=False, pauses=(*state.pauses, pause)))
        yield


@overload
def no_grad() -> Switch: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: Any = None) -> Any:
    """Inside, nothing is recorded: faster, and the results are constants.

    A context, ``with mg.no_grad():``, and a decorator, ``@mg.no_grad`` or ``@mg.no_grad()``. A
    decorated generator or coroutine records nothing while it runs; where it is consumed, recording
    goes on. (A generator with the context around its ``yield`` would leave it off there.)

    >>> import minigrad as mg
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> with mg.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    switch = Switch(_not_recording, (), {})
    return switch if function is None else switch(function)


def is_recording() -> bool:
    """Whether operations on tracked tensors are being recorded on this thread.

    >>> with mg.no_grad():
    ...     mg.is_recording()
    False
    """
    return STATE.get().recording


# -- functions that pause and resume ---------------------------------------------------------------


def _in_steps(block: Callable[[], Any], function: Any) -> Any:
    import inspect  # slow to import, and rarely needed

    if inspect.isgeneratorfunction(function):

        def generator(*args: Any, **kwargs: Any) -> Any:
            return (yield from _steps(block, function(*args, **kwargs)))

        return functools.wraps(function)(generator)
    if inspect.iscoroutinefunction(function):

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return await _awaited_steps(block, function(*args, **kwargs).__await__())

        return functools.wraps(function)(coroutine)
    if inspect.isasyncgenfunction(function):

        async def both(*args: Any, **kwargs: Any) -> Any:
            inner = function(*args, **kwargs)
            step, value = inner.asend, None
            while True:
                try:
                    out = await _awaited_steps(block, step(value).__await__())
                except StopAsyncIteration:
                    return
                try:
                    value = yield out
                    step = inner.asend
                except GeneratorExit:
                    await _awaited_steps(block, inner.aclose().__await__())
                    raise
                except BaseException as error:  # noqa: BLE001 (thrown in, and handed on)
                    step, value = inner.athrow, error

        return functools.wraps(function)(both)

    def call(*args: Any, **kwargs: Any) -> Any:
        with block():
            return function(*args, **kwargs)

    return functools.wraps(function)(call)


def _steps(block: Callable[[], Any], inner: Any) -> Generator[Any, Any, Any]:
    """What ``yield from inner`` does, with each step of ``inner`` inside a block of its own."""
    step, value = inner.send, None
    while True:
        try:
            with block():
                out = step(value)
        except StopIteration as end:
            return end.value
        try:
            value = yield out
            step = inner.send
        except GeneratorExit:
            with block():
                inner.close()
            raise
        except BaseException as error:  # noqa: BLE001 (thrown in, and handed on)
            step, value = inner.throw, error


#: The same for ``await``.
_awaited_steps = types.coroutine(_steps)
