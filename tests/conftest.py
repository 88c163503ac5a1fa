"""What every test starts from."""

import pytest

import minigrad as mg


@pytest.fixture(autouse=True)
def _seeded():
    mg.manual_seed(0)
