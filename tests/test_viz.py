"""mg.viz: what the figures show, and that they leave the model as it was."""

import builtins
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F

pytest.importorskip("matplotlib")


def small():
    mg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3)
    )


def images(figure):
    return [image for axes in every_axes(figure) for image in axes.images]


def every_axes(figure):
    return figure.axes


def texts(figure):
    found = [figure.get_suptitle(), *(t.get_text() for t in figure.texts)]
    for axes in every_axes(figure):
        found += [axes.get_title(), axes.get_title(loc="left"), axes.get_xlabel()]
        found += [t.get_text() for t in axes.texts]
    for part in getattr(figure, "subfigs", ()):
        found += [part.get_suptitle()]
    return " | ".join(found)


def test_learning_curves_of_a_dict_and_of_a_history():
    curves = {"loss": [1.0, 0.5], "val_loss": [1.2, 0.9], "accuracy": [0.5, 0.8]}
    figure = mg.viz.learning_curves(curves)
    assert len(figure.axes) == 2
    assert [list(line.get_ydata()) for line in figure.axes[0].lines][:2] == [[1.0, 0.5], [1.2, 0.9]]
    history = mg.History()
    history.history = curves
    assert len(mg.viz.learning_curves(history).axes) == 2
    with pytest.raises(ValueError, match="no finished epoch"):
        mg.viz.learning_curves({})
    with pytest.raises(ValueError, match="loss, val_loss hold no finite numbers"):
        mg.viz.learning_curves({"loss": [np.nan], "val_loss": [np.inf]})


def test_filters_share_one_scale_around_zero():
    layer = nn.Conv2d(1, 8, 3)
    shown = images(mg.viz.filters(layer))
    assert len(shown) == 8
    assert np.array_equal(shown[3].get_array(), layer.weight.numpy()[3, 0])
    most = np.abs(layer.weight.numpy()).max()
    assert all(image.get_clim() == (-most, most) for image in shown)
    assert images(mg.viz.filters(nn.Conv2d(3, 5, 3)))[0].get_array().shape == (3, 3, 3)
    assert len(images(mg.viz.filters(nn.Conv2d(16, 16, 3), limit=20))) == 20
    with pytest.raises(ValueError, match=r"expected weights of shape \(out, in, kh, kw\)"):
        mg.viz.filters(np.ones((3, 3)))


def test_feature_maps_are_those_of_evaluation():
    model, x = small(), mg.randn(1, 4, 4)
    figure = mg.viz.feature_maps(model, x)
    assert "0: Conv2d   4 × 4 × 4" in texts(figure)
    assert len(images(figure)) == 8  # the convolution and the ReLU
    expected = model[0](x.reshape(1, 1, 4, 4)).numpy()[0]
    assert np.allclose(images(figure)[2].get_array(), expected[2])
    assert all(module.training for module in model.modules())
    assert not any(module._hooks for module in model.modules())
    assert len(images(mg.viz.feature_maps(model, x, layers=["1"], limit=3))) == 3
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        mg.viz.feature_maps(model, x, layers=["nowhere"])
    with pytest.raises(ValueError, match="no layer gave images"):
        mg.viz.feature_maps(model, x, layers=["4"])


def test_confusion_matrix_counts():
    figure = mg.viz.confusion_matrix([0, 1, 1, 2], np.eye(3)[[0, 1, 0, 2]], names=["a", "b", "c"])
    share = figure.axes[0].images[0].get_array()
    assert np.allclose(share, [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]])
    assert "75.00% of 4 right" in texts(figure)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="expected labels"):
        mg.viz.confusion_matrix([0, 1], [0])


def test_misclassified_shows_the_most_confident_mistakes_first():
    pictures = np.arange(4)[:, None, None] * np.ones((4, 5, 5))
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    figure = mg.viz.misclassified(pictures, [0, 1, 1, 1], scores, names=["cat", "dog"])
    assert [image.get_array()[0, 0] for image in images(figure)] == [1, 2]
    assert "2 of 4 wrong" in texts(figure)
    assert "cat, not dog" in texts(figure)
    assert "0 of 4 wrong" in texts(mg.viz.misclassified(pictures, [0, 0, 0, 1], scores))
    with pytest.raises(ValueError, match="3 images for 4 labels"):
        mg.viz.misclassified(pictures[:3], [0, 1, 1, 1], scores)


def test_histograms_over_steps():
    model, x = small(), mg.randn(6, 1, 4, 4)
    with mg.viz.LayerHistograms(model) as layers:
        for _ in range(3):
            model.zero_grad()
            F.cross_entropy(model(x), np.array([0, 1, 2, 0, 1, 2])).backward()
            layers.record()
    assert layers.steps == 3
    assert not any(module._hooks for module in model.modules())
    panels = {
        axes.get_title(loc="left"): axes for axes in layers.plot("gradients").axes if axes.lines
    }
    assert set(panels) == set(dict(model.named_parameters()))
    median = panels["4.bias"].lines[0].get_ydata()
    assert median[-1] == pytest.approx(np.median(model[4].bias.grad.numpy()))
    assert len([a for a in layers.plot("activations").axes if a.lines]) == 5
    assert len([a for a in layers.plot("parameters").axes if a.lines]) == 4
    with pytest.raises(ValueError, match="kind must be 'activations' or"):
        layers.plot("colours")


def test_histograms_take_the_gradients_of_a_tape():
    model, x = small(), mg.randn(6, 1, 4, 4)
    layers = mg.viz.LayerHistograms(model)
    with pytest.raises(ValueError, match="no activations were recorded"):
        layers.plot()
    with mg.GradientTape() as tape:
        loss = (model(x) ** 2).mean()
    layers.record(tape.gradient(loss, list(model.parameters())))
    assert len([a for a in layers.plot("gradients").axes if a.lines]) == 4


def test_a_layer_without_a_gradient_leaves_a_gap():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    layers = mg.viz.LayerHistograms(model)
    layers.record({})
    layers.record({"0.weight": np.ones((2, 2))})
    line = layers.plot("gradients").axes[0].lines[0].get_ydata()
    assert np.isnan(line[0])
    assert line[1] == 1.0


def test_loss_landscape_leaves_the_parameters_alone():
    model, x = nn.Linear(2, 1), mg.randn(8, 2)
    before = [p.numpy().copy() for p in model.parameters()]
    figure = mg.viz.loss_landscape(
        model, lambda: (model(x) ** 2).mean(), steps=5, generator=np.random.default_rng(0)
    )
    assert figure.axes[0].get_xlabel()
    for p, value in zip(model.parameters(), before, strict=True):
        assert np.array_equal(p.numpy(), value)

    def fails():
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        mg.viz.loss_landscape(model, fails, steps=3)
    for p, value in zip(model.parameters(), before, strict=True):
        assert np.array_equal(p.numpy(), value)


def test_figures_can_be_saved(tmp_path):
    for suffix in ("png", "svg", "pdf"):
        path = tmp_path / f"matrix.{suffix}"
        mg.viz.confusion_matrix([0, 1], [0, 1]).savefig(path)
        assert path.stat().st_size > 1000


def test_without_matplotlib_says_how_to_install_it(monkeypatch):
    real = builtins.__import__

    def none(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name, name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(ImportError, match=r"pip install 'minigrad\[plot\]'"):
        mg.viz.filters(nn.Conv2d(1, 2, 3))
