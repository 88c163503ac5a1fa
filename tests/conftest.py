"""What every test starts from."""

import signal

import pytest

import minigrad as mg


@pytest.fixture(autouse=True, scope="session")
def _interruptible():
    """Let Ctrl-C interrupt: a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _seeded():
    mg.manual_seed(0)
