"""What observers keep of a training, on networks whose scores are set by hand."""

import io

import pytest
import torch
from helpers import digits, random_network

from ebreplicate.pruning import EarlyBird, prunable_scores
from ebreplicate.pruning.channels import batch_norms, bn_widths
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe
from ebreplicate.training.loop import State, fit
from ebreplicate.training.observers import KeepWeights, Progress, Scores

EPOCHS = 8


class Search:
    """A search that does not train: the test says what it would have measured."""

    def __init__(self, epochs=EPOCHS):
        self.model = random_network("vgg16", 0.0625, seed=0)
        self.state = State(self.model, Recipe(epochs=epochs, milestones=()), 0, 0)

    def run(self, observers, accuracies, start=0):
        if start == 0:
            for observer in observers:
                observer(self.state)
        for epoch, accuracy in enumerate(accuracies, start + 1):
            with torch.no_grad():
                next(self.model.parameters()).fill_(epoch)  # the epoch can be read off the weights
            self.state.history.append({"epoch": epoch, "test_accuracy": accuracy})
            self.state.epoch = epoch
            for observer in observers:
                observer(self.state)


def kept(folder):
    """File names and the epoch that their weights are of."""
    files = sorted(folder.iterdir())
    return {f.name: int(next(iter(torch.load(f, weights_only=True).values())).flatten()[0]) for f in files}


def test_scores_has_a_row_per_epoch_and_one_before():
    search, scores = Search(), Scores()
    search.run([scores], [10.0] * 3)
    with torch.no_grad():
        batch_norms(search.model)[0].weight.neg_()
    assert len(scores.rows) == 4
    assert all(row.equal(prunable_scores(search.model)) for row in scores.rows)


def test_weights_are_kept_at_the_asked_and_the_best_epoch(tmp_path):
    search, keeper = Search(), KeepWeights(tmp_path / "weights", Keep({2, 8}), [])
    search.run([keeper], [10, 20, 50, 40, 50, 30, 20, 10])
    keeper.finish()
    assert kept(tmp_path / "weights") == {"epoch_0002.pt": 2, "epoch_0003.pt": 3, "epoch_0008.pt": 8}
    assert keeper.best_epoch == 3  # the first of equals, as in the record


def test_the_untrained_network_is_never_the_best(tmp_path):
    search, keeper = Search(), KeepWeights(tmp_path, Keep(set()), [])
    search.run([keeper], [0.0])
    keeper.finish()
    assert kept(tmp_path) == {"epoch_0001.pt": 1}


def test_weights_are_kept_where_each_ratio_emerges(tmp_path):
    search, keeper = Search(), KeepWeights(tmp_path, Keep(set(), {0.3, 0.7}), [])
    search.run([keeper], [50] + [1] * 7)  # fixed scores emerge at the fifth check, after four epochs
    keeper.finish()
    assert kept(tmp_path) == {"epoch_0001.pt": 1, "epoch_0004.pt": 4}


def test_the_state_after_the_last_epoch_is_not_asked(tmp_path):
    search, keeper = Search(epochs=4), KeepWeights(tmp_path, Keep(set(), {0.5}), [])
    search.run([keeper], [50, 1, 1, 1])
    keeper.finish()
    assert kept(tmp_path) == {"epoch_0001.pt": 1}


def test_a_resumed_search_keeps_what_the_whole_one_would(tmp_path):
    accuracies = [10, 50, 20, 20, 40, 20, 20, 20]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    search, scores, keeper = Search(), Scores(), KeepWeights(whole, Keep({6}, {0.5}), [])
    search.run([scores, keeper], accuracies)
    keeper.finish()

    search, scores = Search(), Scores()
    search.run([scores, KeepWeights(resumed, Keep({6}, {0.5}), [])], accuracies[:3])
    keeper = KeepWeights(resumed, Keep({6}, {0.5}), scores.rows)  # a new process
    keeper.restore(search.state.history)
    search.run([scores, keeper], accuracies[3:], start=3)
    keeper.finish()

    assert kept(resumed) == kept(whole) == {"epoch_0002.pt": 2, "epoch_0004.pt": 4, "epoch_0006.pt": 6}


def test_keeper_and_detector_agree_on_scores_that_move(tmp_path):
    generator = torch.Generator().manual_seed(0)
    search, keeper, detector = Search(epochs=40), KeepWeights(tmp_path, Keep(set(), {0.5}), []), EarlyBird(0.5)

    def drift(state):
        noise = torch.randn(sum(bn.num_features for bn in batch_norms(state.model)), generator=generator)
        with torch.no_grad():
            for bn, piece in zip(
                batch_norms(state.model),
                noise.split([bn.num_features for bn in batch_norms(state.model)]),
                strict=True,
            ):
                bn.weight.add_(piece * 0.5 / (1 + state.epoch) ** 2)
        detector.update(prunable_scores(state.model))

    search.run([drift, keeper], [50] + [1] * 38)
    keeper.finish()
    assert detector.first
    assert kept(tmp_path) == {"epoch_0001.pt": 1, f"epoch_{detector.first:04d}.pt": detector.first}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "every", "lines"), [(io.StringIO, 0.0, 3), (io.StringIO, 1e9, 1)])
def test_a_log_gets_plain_lines_and_always_the_last(stream, every, lines):
    search, out = Search(epochs=3), stream()
    search.run([Progress("vgg16-x", out, every)], [10.0, 20.0, 30.0])
    written = out.getvalue().splitlines()
    assert len(written) == lines
    assert written[-1].startswith("vgg16-x: epoch 3/3, test 30.00 %, ")


def test_a_long_epoch_says_how_much_of_it_is_done(monkeypatch):
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr("ebreplicate.training.observers.time.monotonic", lambda: now[0])
    search = Search(epochs=4)
    progress = Progress("vgg16-x", out)
    progress(search.state)
    for now[0], share in ((4.0, 0.1), (12.0, 0.25), (18.0, 0.4), (24.0, 0.5)):
        progress.during(search.state, share)
    assert out.getvalue().splitlines() == [
        "vgg16-x: epoch 1/4, 25% of it done, 180 s left",  # a sixteenth took 12 s
        "vgg16-x: epoch 1/4, 50% of it done, 168 s left",
    ]


def test_fit_tells_an_observer_that_watches_of_every_step():
    told = []

    class Watcher:
        def __call__(self, state):
            told.append(f"after {state.epoch}")

        def during(self, state, share):
            told.append(round(share, 3))

    recipe = Recipe(epochs=2, batch_size=20, lr=0.1)
    data = digits(60, 20)
    fit(random_network("vgg16", 1 / 16, seed=0), data, recipe, seed=0, observers=[Watcher()])
    steps = len(data.batches(20, recipe.augment, 0))
    epoch = [round((i + 1) / steps, 3) for i in range(steps)]
    assert told == ["after 0", *epoch, "after 1", *epoch, "after 2"]


def test_a_search_says_which_ticket_emerges_when(tmp_path, capsys):
    search = Search(epochs=8)
    keeper = KeepWeights(tmp_path / "vgg16-x" / "weights", Keep(ratios={0.3, 0.5}), widths=bn_widths(search.model))
    search.run([keeper], [10.0] * 8)  # all scales are equal in every epoch, and so is the mask
    said = capsys.readouterr().err.splitlines()
    assert sorted(said) == [f"vgg16-x: the ticket emerges at epoch 4 (ratio {r})" for r in ("0.3", "0.5")]


def test_a_terminal_gets_one_line_that_is_written_over():
    search, out = Search(epochs=3), Terminal()
    search.run([Progress("vgg16-x", out)], [10.0, 20.0, 30.0])
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r\033[K") == 3
    assert out.getvalue().endswith("s\n")
