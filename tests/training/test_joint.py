"""Search and pruning in one training: penalty, removal of channels, rounds, what comes back, records and tickets."""

import copy
import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from helpers import CPU, NOWHERE, digits, images
from torch import nn
from torch.func import functional_call

from ebreplicate import stages
from ebreplicate.catalog import KERNELS
from ebreplicate.errors import UserError
from ebreplicate.pruning.weights import prunable
from ebreplicate.runner.inputs import load_mask, network
from ebreplicate.specs.joint import Joint
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.spec import Recipe, Retrain, Search, Ticket, canonical, from_json, key
from ebreplicate.store.store import Store
from ebreplicate.training.averaging import restate
from ebreplicate.training.joint import DEAD, SearchAndPrune
from ebreplicate.training.loop import Trainer, evaluate, fit
from ebreplicate.verify.trainings import search_problems

RECIPE = Recipe(epochs=4, batch_size=20, lr=0.05, milestones=(2,), l1=0.0, weight_decay=0.01, augment="none")
JOINT = Joint(0.01, 2, 1, 0.9, 1, 0.3)
SPEC = Search("supernet", "digits", RECIPE, 0, 0.125, 60, 40, joint=JOINT)
SHAPE = (3, 32, 32)


class Nothing:
    """No images: statistics stay as they are reset."""

    def epoch(self, epoch):
        return iter(())


def attached(joint, steps_per_epoch=1, width=0.125, epochs=10):
    """A supernet and the hook on it, outside a loop."""
    model = network(replace(SPEC, width=width))
    hook = SearchAndPrune(joint, 0, SHAPE, Nothing())
    recipe = replace(RECIPE, epochs=epochs)
    hook.attach(model, torch.optim.SGD(model.parameters()), recipe, steps_per_epoch)
    return model, hook


def test_shares_and_penalty_follow_the_authors_schedules():
    theirs = Joint(1.8e-4, 25, 10, 0.9, 25)
    shares = {e: min(0.9, 0.1 * (e // 25)) for e in range(25, 351, 25)}  # utils/prune.py, e = epoch + 1
    assert {e: theirs.pruned_at(e) for e in range(1, 351) if theirs.is_round(e)} == pytest.approx(shares)
    assert (shares[25], shares[225], shares[350]) == pytest.approx((0.1, 0.9, 0.9))
    assert [theirs.rho_at(e) for e in (0, 12.5, 25, 300)] == pytest.approx([0, 0.9e-4, 1.8e-4, 1.8e-4])


def test_the_gradient_is_that_of_the_loss_with_the_weighted_penalty_in_it():
    model, hook = attached(replace(JOINT, rho=0.3, warmup=2), steps_per_epoch=4)
    gates = [block.gate for block in model.blocks]
    for gate in gates:
        nn.init.normal_(gate.weight)
    sides, costs = (16, 8, 8, 4, 4, 4, 4), []  # of the maps: into the first block, out of each
    for i, block in enumerate(model.blocks):
        cin, cout = block.expand.in_channels, block.project.out_channels
        each = [cin * sides[i] ** 2 + (k * k + cout) * sides[i + 1] ** 2 for k in KERNELS]
        costs.append(torch.tensor(each).repeat_interleave(2 * cin).float())
    mean = torch.cat(costs).mean()
    penalty = sum((c / mean * g.weight.abs()).sum() for c, g in zip(costs, gates, strict=True))
    x, y = images(8), torch.arange(8)

    loss = nn.functional.cross_entropy(model(x), y)
    (loss + 0.3 * 6 / 8 * penalty).backward()  # after six of the eight steps of the warm-up
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    hook.before_step(6)
    for p, gradient in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-4, atol=1e-5)


def cut(block, x):
    """The block without its dead channels, which are cut out of every tensor, on x (B, C, H, W)."""
    living = block.gate.weight.abs() > DEAD

    def norm(bn, h):
        statistics = bn.running_mean[living], bn.running_var[living]
        return nn.functional.batch_norm(h, *statistics, bn.weight[living], bn.bias[living], eps=bn.eps).relu()

    h = norm(block.bn1, nn.functional.conv2d(x, block.expand.weight[living]))
    groups = living.chunk(len(KERNELS))
    parts = h.split([int(g.sum()) for g in groups], 1)
    every = zip(block.depthwise, parts, groups, strict=True)
    h = [nn.functional.conv2d(p, w.weight[g], None, w.stride, w.padding, 1, int(g.sum())) for w, p, g in every]
    out = block.bn2(nn.functional.conv2d(norm(block.gate, torch.cat(h, 1)), block.project.weight[:, living]))
    return x + out if block.residual else out


def test_a_removed_channel_is_one_that_is_cut_out():
    model, hook = attached(replace(JOINT, target=0.0), width=0.25)
    for block in model.blocks:
        nn.init.normal_(block.gate.bias)  # what a channel without input would add
        block.gate.weight.data[::3] = DEAD
        block.gate.weight.data[1] = -2 * DEAD
    hook.after_step(0)
    restate(model, [(images(16), None)])
    model.eval()
    x = images(8)
    small = model.relu(model.bn(model.conv(x)))
    for block in model.blocks:
        small = cut(block, small)
    torch.testing.assert_close(model(x), model.fc(small.mean((2, 3))), rtol=1e-3, atol=1e-4)
    hook.after_epoch([{}])
    nonzero = [int((w != 0).sum()) for w in prunable(model)]
    sides = (16, 8, 8, 4, 4, 4, 4)
    uses = [256, *(n * n for i, o in pairwise(sides) for n in (i, o, o, o, o)), 1]
    products = sum(n * u for n, u in zip(nonzero, uses, strict=True))
    assert hook.rows[0][0] == 204  # 6 x (4 + 4 + 4 + 6 + 6 + 10)
    assert hook.rows[1] == [136, sum(nonzero), sum(nonzero), products]


def set_apart(hook, values):
    """Give every weight the size 1, except the first ones of the last layer."""
    for weight in hook.weights:
        weight.data.fill_(1.0)
    hook.weights[-1].data.view(-1)[: len(values)] = torch.tensor(values)


def of_last(hook):
    return hook.masks[-1].flatten()[:4].tolist()


def by_hand(connectivity):
    """Two weights are pruned at every round: a share of two in all that there are."""
    _, hook = attached(JOINT)
    count = sum(w.numel() for w in hook.weights)
    joint = replace(JOINT, rho=0.0, target=2 / count, increment=1.0, connectivity=connectivity)
    _, hook = attached(joint)
    set_apart(hook, [0.1, -0.2, 0.3, 0.4])
    return hook


def test_the_smallest_are_masked_and_come_back_by_their_stored_size():
    """Weights 0 and 1 are pruned; then 0 has grown, and 3 has become the smallest."""
    hook = by_hand("stale")
    weight = hook.weights[-1].view(-1)
    hook.after_step(0)
    assert of_last(hook) == [False, False, True, True]
    assert weight[:4].tolist() == pytest.approx([0.0, 0.0, 0.3, 0.4])
    for w in hook.weights:
        w.grad = torch.ones_like(w)
    for block in hook.blocks:
        block.gate.weight.grad = torch.zeros_like(block.gate.weight)
    hook.before_step(1)
    assert weight[:4].tolist() == pytest.approx([0.1, -0.2, 0.3, 0.4])  # what the optimiser moves
    assert hook.weights[-1].grad.view(-1)[:5].tolist() == [0, 0, 1, 1, 1]
    weight.data[:4] = torch.tensor([0.5, -0.2, 0.3, 0.01])
    hook.after_step(1)
    assert of_last(hook) == [True, False, True, False]
    assert weight[:4].tolist() == pytest.approx([0.5, 0.0, 0.3, 0.0])
    assert hook.returned == [None, 0.5]
    assert all(mask.all() for mask in hook.masks[:-1])


def test_zeroed_weights_stay_zero_and_reset_ones_train_on():
    found = {}
    for connectivity in ("zeroed", "reset"):
        hook = by_hand(connectivity)
        weight = hook.weights[-1].view(-1)
        hook.after_step(0)
        assert weight[:4].tolist() == pytest.approx([0.0, 0.0, 0.3, 0.4])
        hook.after_epoch([{}])
        weight.data[:4] += torch.tensor([0.5, 0.05, 0.0, 0.0])  # by momentum, or by their gradients
        hook.after_step(1)
        found[connectivity] = (of_last(hook), hook.returned, weight[:4].tolist(), [row[2] for row in hook.rows])
    count = found["reset"][3][0]
    mask, returned, values, sizes = found["zeroed"]
    assert (mask, returned, values) == ([False, False, True, True], [None, 0.0], pytest.approx([0, 0, 0.3, 0.4]))
    assert sizes == [count, count - 2]
    mask, returned, values, sizes = found["reset"]
    assert (mask, returned, values) == ([True, False, False, True], [None, 0.5], pytest.approx([0.5, 0, 0, 0.4]))
    assert sizes == [count, count]  # the second epoch trains all


def test_a_stale_mask_is_a_factor_in_the_forward_pass_and_nothing_else():
    """Six steps, two of them without a mask, beside a network whose weights autograd multiplies by the mask."""
    recipe = replace(RECIPE, epochs=3, weight_decay=0.1)
    joint = replace(JOINT, rho=0.0, target=0.6, increment=0.6, shrink=9)
    model = network(SPEC)
    other = copy.deepcopy(model)
    hook = SearchAndPrune(joint, 0, SHAPE, Nothing())
    trainer = Trainer(model, recipe, hooks=[hook], steps_per_epoch=2)
    optimizer = torch.optim.SGD(other.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    names = [f"{name}.weight" for name, layer in other.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    masks, x, y = {}, images(8), torch.arange(8)
    model.train(), other.train()
    for step in range(6):
        trainer.step(x, y, step)
        parameters = dict(other.named_parameters())
        given = {n: p * masks[n] if n in masks else p for n, p in parameters.items()}
        optimizer.zero_grad()
        nn.functional.cross_entropy(functional_call(other, given, (x,)), y).backward()
        optimizer.step()
        if step % 2:
            sizes = torch.cat([parameters[n].detach().abs().flatten() for n in names])
            edge = sizes.sort().values[round(0.6 * len(sizes))]
            masks = {n: parameters[n].detach().abs() >= edge for n in names}
            assert sum(int((masks[n] != ours).sum()) for n, ours in zip(names, hook.masks, strict=True)) <= 2
    for name, ours in model.named_parameters():
        theirs = dict(other.named_parameters())[name].detach()
        ours = ours.detach()
        both = ours != 0 if name in masks else torch.ones_like(ours, dtype=torch.bool)
        torch.testing.assert_close(ours[both], theirs[both], rtol=1e-2, atol=1e-3, msg=name)
    assert 0 < hook.returned[-1] < 0.5


def test_random_rounds_prune_as_many_and_others_each_time():
    _, hook = attached(replace(JOINT, rho=0.0, target=0.5, increment=0.5, ranking="random"))
    total = hook.rows[0][1]
    hook.after_step(0)
    hook.after_step(1)
    assert sum(int(m.sum()) for m in hook.masks) == total - round(0.5 * total)
    assert hook.returned[1] == pytest.approx(0.5, abs=0.06)


def test_new_statistics_are_those_of_the_batches():
    model = network(SPEC)
    for _ in range(3):
        model(images(8, 5))
    batches = [images(8, 1), images(8, 2)]
    restate(model, [(x, None) for x in batches])
    ours = model.conv(torch.cat(batches)).mean((0, 2, 3))
    torch.testing.assert_close(model.bn.running_mean, ours, rtol=1e-3, atol=1e-5)
    assert model.bn.momentum == 0.1


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Forty-five steps, enough to learn something of sixty digits at half of the weights."""
    recipe = replace(RECIPE, epochs=15, milestones=(12,), weight_decay=0.001)
    joint = Joint(0.01, 2, 3, 0.5, 3, 0.1)
    spec = replace(SPEC, recipe=recipe, joint=joint)
    store = Store(tmp_path_factory.mktemp("learned"))
    return spec, store, stages.search(spec, store, NOWHERE, CPU, Keep({15}))


def test_it_learns_while_it_is_pruned(learned):
    _, _, record = learned
    metrics = record["metrics"]
    assert metrics["last_train_loss"] < 1.8  # ln 10, or 2.3, is that of a guess
    alive, unmasked = metrics["alive_weights"], metrics["unmasked_weights"]
    shares = [1 - u / a for u, a in zip(unmasked, alive, strict=True)]
    assert shares == pytest.approx([0.1 * (e // 3) for e in range(16)], abs=1e-3)
    assert len(metrics["returned_weights"]) == 5
    assert sum(metrics["kernel_channels"]) == metrics["alive_channels"][-1]


def test_verify_holds_its_record(learned):
    spec, store, record = learned
    assert list(search_problems(spec, record, store)) == []
    wrong = json.loads(json.dumps(record))
    wrong["metrics"]["unmasked_weights"][-1] += 1
    wrong["metrics"]["alive_channels"][5] += 1
    wrong["metrics"]["forward_products"][0] += 1
    del wrong["metrics"]["alive_weights"][3]
    said = "; ".join(search_problems(spec, wrong, store))
    for part in ("unmasked_weights end at", "alive_channels rises", "forward_products does not begin", "not 16"):
        assert part in said


def test_its_ticket_is_what_it_left_and_is_retrained_under_its_mask(learned):
    spec, store, record = learned
    ticket = Ticket(spec, 0.5, "final", "nonzero")
    drawn = stages.draw(ticket, store, NOWHERE)
    mask = load_mask(ticket, store, record["metrics"]["alive_weights"][0])
    assert int(mask.sum()) == drawn["metrics"]["kept"] == record["metrics"]["unmasked_weights"][-1]
    retrained = stages.retrain(Retrain(ticket, replace(RECIPE, epochs=1, milestones=())), store, NOWHERE, CPU)
    assert retrained["metrics"]["nonzero_weights"] <= int(mask.sum())
    weights = torch.load(store.folder(spec) / "weights" / "epoch_0015.pt", weights_only=True)
    model = network(spec)
    model.load_state_dict(weights)
    _, accuracy = evaluate(model, digits(60, 40))
    assert accuracy == record["metrics"]["last_accuracy"]  # saved as it was evaluated


def test_pruning_once_at_the_end_changes_nothing_before():
    once = replace(SPEC, joint=replace(JOINT, interval=4, increment=0.9))
    never = replace(SPEC, joint=replace(JOINT, target=0.0))
    found = []
    for spec in (once, never):
        data = digits(60, 40)
        hook = SearchAndPrune(spec.joint, 0, SHAPE, data.batches(20, "none", 0))
        found.append((fit(network(spec), data, RECIPE, seed=0, hooks=[hook]).history, hook))
    (pruned, ours), (whole, theirs) = found
    assert [r["train_loss"] for r in pruned] == [r["train_loss"] for r in whole]
    assert [r["test_loss"] for r in pruned[:3]] == [r["test_loss"] for r in whole[:3]]
    assert pruned[3]["test_loss"] != whole[3]["test_loss"]
    assert ours.rows[:4] == theirs.rows[:4]
    assert ours.rows[4][2] == theirs.rows[4][2] - round(0.9 * theirs.rows[4][2])
    assert ours.returned == [None]


def test_a_spec_reads_back_and_names_its_arm():
    assert from_json(canonical(SPEC)) == SPEC
    assert "-joint0.01-p0.9-every1-stale-" in key(SPEC)
    assert '"joint"' not in canonical(replace(SPEC, joint=None))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: replace(JOINT, rho=-0.1), r"^Joint\.rho: must not be negative"),
        (lambda: replace(JOINT, warmup=-1), r"^Joint\.warmup: must not be negative"),
        (lambda: replace(JOINT, shrink=0), r"^Joint\.shrink: must be at least 1 epoch, got 0"),
        (lambda: replace(JOINT, interval=0), r"^Joint\.interval: must be at least 1 epoch, got 0"),
        (lambda: replace(JOINT, target=1.0), r"^Joint\.target: must lie in \[0, 1\), got 1"),
        (lambda: replace(JOINT, increment=0.0), r"^Joint\.increment: must lie in \(0, 1\], got 0"),
        (
            lambda: replace(JOINT, connectivity="stail"),
            r"^Joint\.connectivity: unknown name 'stail'; did you mean 'stale'",
        ),
        (lambda: replace(JOINT, ranking="size"), r"^Joint\.ranking: unknown name 'size'"),
        (lambda: replace(SPEC, model="vgg16"), r"^Search\.joint: needs a supernet \(supernet\), not 'vgg16'"),
        (lambda: replace(SPEC, soft_ratio=0.5), r"^Search\.joint: cannot be combined with soft_ratio"),
        (lambda: replace(SPEC, recipe=replace(RECIPE, l1=1e-4)), r"^Search\.recipe\.l1: must be 0 with joint"),
        (lambda: replace(SPEC, precision="bfp8"), r"^Search\.precision: bfp8 is not offered with joint"),
        (
            lambda: replace(SPEC, joint=replace(JOINT, interval=2)),
            r"^Joint\.target: is not reached: 4 epochs prune 0\.6; shorten Joint\.interval",
        ),
        (
            lambda: Ticket(replace(SPEC, joint=None), 0.9, "final", "nonzero"),
            r"^Ticket\.method: 'nonzero' needs a search",
        ),
        (lambda: Ticket(SPEC, 0.5, "final", "nonzero"), r"^Ticket\.method: 'nonzero' needs a search .* target 0\.5"),
        (lambda: from_json(canonical(SPEC).replace("warmup", "warm")), r"^Joint: unknown name 'warm'"),
    ],
)
def test_bad_input_is_refused_by_name(make, said):
    with pytest.raises(UserError, match=said):
        make()
