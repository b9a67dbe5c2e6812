"""A padded ticket trains as the ticket does; what it has besides the ticket's channels stays silent."""

import copy
import csv
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, TINY, images, random_network, tiny_search
from torch import nn

from ebreplicate import stages
from ebreplicate.models.common import ChannelSelection, normalised
from ebreplicate.plan.keep import Keep
from ebreplicate.plan.spec import Retrain, Ticket
from ebreplicate.pruning import shrink
from ebreplicate.pruning.padding import Padding, _rounded
from ebreplicate.pruning.surgery import bn_widths
from ebreplicate.records import Store
from ebreplicate.training.loop import Recipe, Trainer


def some(model, share, seed=0):
    """A mask that keeps about `share` of the channels, and empties one inner layer of a residual network."""
    g = torch.Generator().manual_seed(seed)
    pieces = [torch.rand(width, generator=g) < share for width in bn_widths(model)]
    pieces = [p if p.any() else torch.arange(len(p)) == 1 for p in pieces]
    if model.residual:
        pieces[1] = torch.zeros_like(pieces[1])
    return torch.cat(pieces)


def ticket_of(name, width, share, init="inherit"):
    dense = random_network(name, width, seed=0).train()
    ticket = shrink(dense, some(dense, share))
    if init == "reinit":  # scales of dropped channels are not zero, and the first channels are selected
        torch.manual_seed(3)
        again = type(ticket)(**depth_of(name), num_classes=10, width=width, channels=drawn(ticket))
        return again.train()
    return ticket


def depth_of(name):
    return {"depth": int("".join(c for c in name if c.isdigit()))}


def drawn(ticket):
    """Channel configuration of a ticket, as a draw records it."""
    found = []
    for module in ticket.modules():
        if isinstance(module, nn.BatchNorm2d):
            found.append(module.num_features)
        elif isinstance(module, ChannelSelection):
            found[-1] = len(module.indexes)
    return found


CASES = [("vgg16", 0.25, 0.5), ("preresnet20", 1.0, 0.5), ("preresnet20", 0.5, 0.9), ("resnet18", 0.25, 0.6)]


@pytest.mark.parametrize(("name", "width", "share"), CASES)
def test_a_padded_ticket_trains_as_the_ticket(name, width, share):
    ticket = ticket_of(name, width, share).double()
    padding = Padding(copy.deepcopy(ticket))
    compare_training(ticket, padding, 64 if name == "resnet18" else 32)


@pytest.mark.parametrize(("name", "width"), [("vgg16", 0.25), ("preresnet20", 0.5)])
def test_with_new_weights_too(name, width):
    ticket = ticket_of(name, width, 0.5, "reinit").double()
    compare_training(ticket, Padding(copy.deepcopy(ticket)), 32)


def compare_training(ticket, padding, side):
    """In doubles: in floats a rounding now and then moves the maximum of a pool, and a weight by a hundredth."""
    small, wide = bn_widths(ticket), bn_widths(padding.padded)
    assert small != wide
    recipe = Recipe(lr=0.02, l1=1e-3, weight_decay=1e-2)
    g = torch.Generator().manual_seed(1)
    x = torch.randn(12, 3, side, side, generator=g, dtype=torch.float64).to(memory_format=torch.channels_last)
    y = torch.arange(12) % 10
    losses = [
        [t.step(x, y).item() for _ in range(4)] for t in (Trainer(ticket, recipe), Trainer(padding.padded, recipe))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-10)
    assert losses[0][3] != pytest.approx(losses[0][0], rel=1e-3)
    trimmed = padding.trimmed()
    read = {n for n, _ in trimmed.named_parameters()} - unread(trimmed)
    for (name, expected), found in zip(ticket.named_parameters(), trimmed.parameters(), strict=True):
        if name in read:
            assert (found - expected).abs().max() <= 1e-8 * expected.abs().max(), name
    with torch.no_grad():
        expected = ticket.eval()(x)
        torch.testing.assert_close(trimmed.eval()(x), expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(padding.padded.eval()(x), expected, rtol=1e-8, atol=1e-8)
    check_silent(padding)


def unread(model):
    """Scales of batch norms from which channels are selected: those of dropped channels mean nothing."""
    found, last = set(), None
    for name, module in model.named_modules():
        if isinstance(module, ChannelSelection):
            found |= {f"{last}.weight", f"{last}.bias"}
        last = name
    return found


def check_silent(padding):
    """All that was added is zero to the bit."""
    for name, tensor in padding.padded.state_dict().items():
        where = padding.places.get(name)
        if where is not None and where is not ... and "running_var" not in name and "running_mean" not in name:
            rest = tensor.clone()
            rest[where] = 0
            assert not rest.any(), name


def test_layers_come_in_eights_and_selections_in_sixteens_or_whole():
    ticket = ticket_of("preresnet20", 1.0, 0.4)
    padded = Padding(ticket).padded
    inner = [c.out_channels for b in padded.blocks for c in (b.conv1, b.conv2)]
    assert all(c % 8 == 0 for c in inner)
    selected = [(len(m.indexes), m.features) for m in padded.modules() if isinstance(m, ChannelSelection)]
    assert all(kept % 16 == 0 for kept, _ in selected)
    assert any(kept < whole for kept, whole in selected)
    assert all(kept == whole or kept <= 0.75 * whole for kept, whole in selected)


def test_rounding_adds_the_first_dropped_channels():
    mask = torch.tensor([0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0], dtype=torch.bool)
    assert _rounded(mask, 8).nonzero().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert _rounded(mask, 4).equal(mask)
    assert _rounded(mask, 16).all()


def test_a_ticket_of_round_layers_is_its_own_padded_form():
    dense = random_network("vgg16", 0.25, seed=0)
    ticket = shrink(dense, torch.cat([torch.arange(c) < 8 for c in bn_widths(dense)]))
    padding = Padding(ticket)
    assert bn_widths(padding.padded) == bn_widths(ticket)
    for a, b in zip(padding.padded.state_dict().values(), ticket.state_dict().values(), strict=True):
        assert a.equal(b)


def test_selecting_first_is_normalising_first_and_leaves_the_others_statistics():
    bn, select = nn.BatchNorm2d(6).train(), ChannelSelection(6, 3)
    select.indexes.copy_(torch.tensor([1, 2, 5]))
    nn.init.uniform_(bn.weight)
    other, early = copy.deepcopy(bn), copy.deepcopy(select)
    early.first = True
    x = images(4).repeat(1, 2, 1, 1)
    torch.testing.assert_close(normalised(other, early, x), select(bn(x)))
    for name in ("running_mean", "running_var"):
        after, usual = getattr(other, name), getattr(bn, name)
        torch.testing.assert_close(after[select.indexes], usual[select.indexes])
        assert (after[[0, 3, 4]] == (name == "running_var")).all()
    torch.testing.assert_close(normalised(other.eval(), early, x), select(other(x)))


@pytest.mark.parametrize("init", ["inherit", "reinit"])
def test_a_retrain_with_padding_has_the_curve_of_one_without(init, tmp_path, monkeypatch):
    store, search = Store(tmp_path), tiny_search()
    stages.search(search, store, NOWHERE, CPU, Keep({1}))
    ticket = Ticket(search, 0.3, 1)
    stages.draw(ticket, store)
    made, original = [], stages.retraining.Padding
    monkeypatch.setattr(stages.retraining, "Padding", lambda t: made.append(original(t)) or made[-1])
    records, losses = {}, {}
    for kernels in ("torch", "padded"):
        spec = Retrain(ticket, replace(TINY, kernels=kernels), init)
        records[kernels] = stages.retrain(spec, store, NOWHERE, CPU)
        with (store.folder(spec) / "history.csv").open() as f:
            losses[kernels] = float(next(csv.DictReader(f))["train_loss"])
    assert len(made) == 1
    assert losses["padded"] == pytest.approx(losses["torch"], rel=1e-3)
    first, second = (records[k]["metrics"]["last_accuracy"] for k in ("torch", "padded"))
    assert second == pytest.approx(first, abs=3)
    assert records["padded"]["cost"]["training_flops"] == records["torch"]["cost"]["training_flops"]
