"""Modules: registration and paths."""

import minigrad as mg
from minigrad import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter([2.0])

    def forward(self, x):
        return x * self.factor


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.second = Scale()

    def forward(self, x):
        return self.second(self.first(x))


def test_parameters_are_found_with_their_paths():
    assert [name for name, _ in Two().named_parameters()] == ["first.factor", "second.factor"]


def test_operations_carry_the_path_of_their_module():
    with mg.GradientTape() as tape:
        Two()(mg.ones(1))
    assert [node.scope for node in tape.nodes] == ["first", "second"]
