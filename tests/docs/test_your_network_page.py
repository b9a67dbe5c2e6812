"""The Python code of docs/your-network.md, run as it is printed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import ROOT, blocks
from helpers import CPU, NOWHERE, TINY, tiny_search
from torch import nn

from ebreplicate import stages
from ebreplicate.pruning import bn_widths
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Retrain, Ticket, key
from ebreplicate.store.store import Store

PAGE = "docs/your-network.md"
LOOP, CHAIN, TORCHVISION, FINISHED, OTHERS = [
    b for b in blocks(PAGE, Path(ROOT, PAGE).read_text()) if b.language == "python"
]


class Own(nn.Module):
    """A reader's network: one residual block."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.branch = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16))
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.relu(x + self.branch(x)).mean((2, 3)))


def run(block, **given):
    names = dict(given)
    exec(compile(block.text, f"{PAGE}:{block.line}", "exec"), names)
    return names


def test_the_training_loop_finds_a_ticket_and_makes_it_smaller():
    pytest.importorskip("torch_pruning")
    torch.manual_seed(0)
    batches = [(torch.randn(8, 3, 8, 8), torch.randint(4, (8,))) for _ in range(4)]
    found = run(LOOP, network=Own(), loader=batches, epochs=40)
    assert 5 <= found["detector"].first < 40
    assert found["epoch"] == found["detector"].first
    assert sum(bn_widths(found["ticket"])) < 32
    assert found["ticket"](batches[0][0]).shape == (8, 4)


def test_a_chain_keeps_a_channel_of_every_layer():
    network = Own()
    with torch.no_grad():
        network.stem[1].weight.fill_(0.1)
        network.branch[1].weight.copy_(torch.arange(1.0, 17.0))
    found = run(CHAIN, network=network)
    assert found["rescued"] == 1
    assert [int(piece.sum()) for piece in found["mask"].split(16)] == [1, 15]


def test_torchvisions_resnet_is_shrunk_as_the_page_says(capsys):
    pytest.importorskip("torch_pruning")
    torch.manual_seed(0)
    run(TORCHVISION)
    before, after = (int(word) for word in capsys.readouterr().out.split() if word.isdigit())
    assert before == 4800
    assert after < 4000


def test_a_finished_run_gives_its_network(tmp_path, capsys):
    search = tiny_search(replace(TINY, epochs=1, milestones=()))
    retrain = Retrain(Ticket(search, 0.5, 1), replace(TINY, epochs=1, milestones=()))
    store = Store(tmp_path / "results")
    stages.search(search, store, NOWHERE, CPU, Keep({1}))
    stages.draw(retrain.ticket, store)
    stages.retrain(retrain, store, NOWHERE, CPU)
    run(FINISHED, retrain_name=key(retrain), results=store.root)
    parameters = store.read(retrain.ticket)["metrics"]["parameters"]
    assert capsys.readouterr().out.endswith(f"{parameters} parameters\n")


def test_weights_are_masked_and_cost_is_counted_as_the_page_says():
    network = Own()
    weights = [network.stem[0].weight, network.branch[0].weight]
    sizes = sorted(w.abs().item() for weight in weights for w in weight.detach().flatten())
    found = run(OTHERS, network=network)
    assert found["cost"] == 2 * (32 * 32 * (16 * 27 + 16 * 16 * 9) + 16 * 4)
    dropped = round(0.8 * len(sizes))
    assert all((w.abs() >= sizes[dropped]).eq(w != 0).all() for w in weights)
    assert int((~found["mask"]).sum()) == dropped
    assert network.head.weight.all()  # the last layer is spared
