"""Frobenius decay against autograd and by hand, the bound of the nuclear norm, the stage, and input that is refused."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from helpers import CPU, NOWHERE, digits, images

from ebreplicate import stages, verify
from ebreplicate.errors import UserError
from ebreplicate.models.factorised import factorised_layers
from ebreplicate.runner.hooks import search_hooks
from ebreplicate.runner.inputs import network
from ebreplicate.specs.spec import Factorised, Recipe, Search, Ticket, canonical, from_json, key
from ebreplicate.store.schema import METRICS
from ebreplicate.store.store import Store
from ebreplicate.training.factorised import FactorNorms, FrobeniusDecay, frobenius_gradients, norms
from ebreplicate.training.loop import Trainer, fit
from ebreplicate.verify.trainings import search_problems

RECIPE = Recipe(epochs=3, batch_size=20, lr=0.05, milestones=(2,), l1=0.0, weight_decay=0.01, augment="none")
BOTH = Factorised(0.2, "spectral", "frobenius")
SPEC = Search("resnet20", "digits", RECIPE, 0, 0.25, 60, 40, factorised=BOTH)


def test_the_gradients_are_those_of_half_the_squared_norm():
    torch.manual_seed(0)
    u, vt = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((6, 3), (3, 5)))
    ((u @ vt).square().sum() / 2).backward()
    for ours, theirs in zip(frobenius_gradients(u.detach(), vt.detach()), (u.grad, vt.grad), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_step_decays_products_and_leaves_all_else_to_ordinary_decay():
    """Two steps beside a loss that has both decays in it, in a plain optimiser with momentum."""
    recipe = replace(RECIPE, weight_decay=0.1)
    model = network(SPEC)
    other = copy.deepcopy(model)
    trainer = Trainer(model, recipe, hooks=[FrobeniusDecay()])
    optimizer = torch.optim.SGD(other.parameters(), recipe.lr, recipe.momentum)
    factors = {id(w) for layer in factorised_layers(other) for w in layer.weights}
    x, y = images(8), torch.arange(8)
    model.train(), other.train()
    for step in range(2):
        trainer.step(x, y, step)
        optimizer.zero_grad()
        decay = sum(p.square().sum() for p in other.parameters() if id(p) not in factors)
        for layer in factorised_layers(other):
            out, rank, height, _ = layer.vertical.weight.shape
            u = layer.vertical.weight.permute(0, 2, 3, 1).reshape(out * height, rank)
            decay = decay + (u @ layer.horizontal.weight.flatten(1)).square().sum()
        (torch.nn.functional.cross_entropy(other(x), y) + recipe.weight_decay / 2 * decay).backward()
        optimizer.step()
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize(
    ("init", "decay"), [("kaiming", "factors"), ("kaiming", "frobenius"), ("spectral-ones", "frobenius")]
)
def test_the_nuclear_norm_is_below_its_bound_in_every_layer_after_every_epoch(init, decay):
    spec = replace(SPEC, factorised=Factorised(0.2, init, decay), train_size=40)
    seen, hook = [], FactorNorms()
    data = digits(40, 20)
    fit(
        network(spec),
        data,
        spec.recipe,
        seed=0,
        observers=[lambda s: seen.append([norms(layer) for layer in factorised_layers(s.model)])],
        hooks=[*search_hooks(spec, data), hook],
    )
    for row in seen:
        assert all(frobenius <= nuclear <= bound * (1 + 1e-6) for nuclear, bound, frobenius in row)
    means = [[sum(layer[i] for layer in row) / len(row) for row in seen] for i in range(3)]
    assert [*hook.metrics().values()] == [pytest.approx(column) for column in means]
    nuclear, bound, _ = (column[0] for column in means)
    assert (bound == pytest.approx(nuclear)) == (init != "kaiming")  # equal halves reach the bound


def test_a_diverged_network_has_no_norms():
    layer = factorised_layers(network(SPEC))[0]
    layer.weights[0].data[0] = torch.inf
    hook = FactorNorms()
    hook.rows = [[*norms(layer)]]
    assert set(map(tuple, hook.metrics().values())) == {(None,)}


def test_norms_beyond_single_precision_are_none_so_that_the_record_can_be_read():
    hook = FactorNorms()
    hook.rows = [[1.0, 1e38, 2.0], [1e72, 1e39, 3.0]]
    found = hook.metrics()
    assert found == {"nuclear_norm": [1.0, None], "nuclear_bound": [1e38, None], "frobenius_norm": [2.0, 3.0]}
    assert all(METRICS[name][0](values) for name, values in found.items())


def test_the_factorised_network_shares_what_is_dense_with_the_dense_one_and_decomposes_its_weights():
    dense = network(replace(SPEC, factorised=None))
    made = network(replace(SPEC, factorised=replace(BOTH, rank_scale=0.4)))
    assert made.conv1.weight.equal(dense.conv1.weight)
    assert made.fc.weight.equal(dense.fc.weight)
    kernels = made.blocks[0].conv2.kernel(), dense.blocks[0].conv2.weight.detach()  # 12 rows and columns, rank 5
    ours, theirs = (kernel.transpose(1, 2).reshape(12, 12) for kernel in kernels)
    lost = torch.linalg.svdvals(theirs)[5:].square().sum().sqrt()
    assert torch.linalg.matrix_norm(ours - theirs).item() == pytest.approx(lost.item(), rel=1e-3)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Thirty steps, enough to begin to learn sixty digits."""
    spec = replace(SPEC, recipe=replace(RECIPE, epochs=10, milestones=(8,), weight_decay=0.001))
    store = Store(tmp_path_factory.mktemp("learned"))
    return spec, store, stages.search(spec, store, NOWHERE, CPU)


def test_a_factorised_network_learns(learned):
    _, _, record = learned
    assert record["metrics"]["last_train_loss"] < 1.8  # ln 10, or 2.3, is that of a guess


def test_its_record_has_its_cost_and_its_norms_and_verify_holds_them(learned):
    spec, store, record = learned
    dense = verify.history.dense_forward(replace(spec, factorised=None))["fvcore"]
    assert record["cost"]["forward_flops"]["fvcore"] < 0.7 * dense
    assert [len(record["metrics"][n]) for n in ("nuclear_norm", "nuclear_bound", "frobenius_norm")] == [11] * 3
    assert list(search_problems(spec, record, store)) == []
    wrong = json.loads(json.dumps(record))
    wrong["metrics"]["nuclear_norm"][4] = 2 * wrong["metrics"]["nuclear_bound"][4]
    assert list(search_problems(spec, wrong, store)) == ["nuclear_norm is above its bound, or below the Frobenius norm"]
    wrong["metrics"]["nuclear_bound"][0] += 1
    del wrong["metrics"]["frobenius_norm"]
    problems = list(search_problems(spec, wrong, store))
    assert "nuclear_bound does not begin with that of the untrained network" in problems
    assert "frobenius_norm has 0 entries, not 11" in problems


def test_a_spec_reads_back_and_names_its_arm():
    assert from_json(canonical(SPEC)) == SPEC
    assert "-rank0.2-spectral-frobenius-" in key(SPEC)
    assert canonical(replace(SPEC, factorised=None)) == canonical(Search("resnet20", "digits", RECIPE, 0, 0.25, 60, 40))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Factorised(0.0),
            r"^Factorised\.rank_scale: must lie strictly between 0, which leaves no rank, and 1, got 0",
        ),
        (lambda: Factorised(1.0), r"^Factorised\.rank_scale: must lie"),
        (lambda: Factorised(0.1, "spectal"), r"^Factorised\.init: unknown name 'spectal'; did you mean 'spectral'"),
        (lambda: Factorised(0.1, decay="frob"), r"^Factorised\.decay: unknown name 'frob'"),
        (lambda: replace(SPEC, precision="bfp8"), r"^Search\.precision: bfp8 is not offered for factorised networks"),
        (lambda: Ticket(SPEC, 0.5, 1), r"^Ticket\.search: is of a factorised network"),
        (lambda: from_json(canonical(SPEC).replace("rank_scale", "rank")), r"^Factorised: unknown name 'rank'"),
    ],
)
def test_bad_input_is_refused_by_name(make, said):
    with pytest.raises(UserError, match=said):
        make()


def test_a_rank_scale_that_exceeds_a_layer_is_refused_before_any_training(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(UserError, match=r"^Factorised\.rank_scale: gives blocks\.3\.conv1"):
        stages.search(replace(SPEC, factorised=Factorised(0.6)), store, NOWHERE, CPU)
    assert not [*tmp_path.rglob("*.json")]
