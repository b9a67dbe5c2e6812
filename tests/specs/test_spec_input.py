"""Bad specs are refused at construction, by a message that names the field."""

import json
import math
from dataclasses import replace

import pytest
from helpers import tiny_search

from ebreplicate.errors import UserError
from ebreplicate.specs.spec import Factorised, Recipe, Retrain, Search, Ticket, canonical, from_dict, from_json, key

SEARCH = Search("vgg16", "cifar10")
TICKET = Ticket(SEARCH, 0.5, 20)


@pytest.mark.parametrize(
    ("kind", "field", "value", "said"),
    [
        (Recipe, "epochs", "160", r"expected int, got '160' \(str\)"),
        (Recipe, "epochs", True, r"expected int, got True \(bool\)"),
        (Recipe, "epochs", 80.0, r"expected int, got 80.0 \(float\)"),
        (Recipe, "epochs", 0, "at least 1"),
        (Recipe, "batch_size", 1, "at least 2"),
        (Recipe, "lr", "0.1", "expected float"),
        (Recipe, "lr", True, "expected float"),
        (Recipe, "lr", 0, "positive"),
        (Recipe, "lr", math.inf, "finite"),
        (Recipe, "lr", math.nan, "finite"),
        (Recipe, "milestones", 80, "expected a list"),
        (Recipe, "milestones", ["80"], "expected int"),
        (Recipe, "milestones", (120, 80), "increase"),
        (Recipe, "lr_decay", 0.0, r"\(0, 1\]"),
        (Recipe, "lr_decay", 1.5, r"\(0, 1\]"),
        (Recipe, "momentum", 1.0, r"\[0, 1\)"),
        (Recipe, "weight_decay", -1e-4, "negative"),
        (Recipe, "l1", -1e-4, "negative"),
        (Recipe, "augment", "flip", "unknown name 'flip'"),
        (Search, "seed", "0", r"expected int, got '0' \(str\)"),
        (Search, "seed", False, "expected int"),
        (Search, "seed", -1, "0.."),
        (Search, "seed", 2**32, "0.."),
        (Search, "width", 0, r"\(0, 4\]"),
        (Search, "train_size", "640", "expected int or NoneType"),
        (Search, "train_size", 9, "at least 10"),
        (Search, "test_size", 9, "at least 10"),
        (Search, "precision", "fp16", "known: bf16, bfp8, fp32, fp8, tf32"),
        (Search, "recipe", {"epochs": 3}, "expected Recipe"),
        (Ticket, "ratio", 0, "strictly between 0 and 1"),
        (Ticket, "ratio", 1, "strictly between 0 and 1"),
        (Ticket, "ratio", 1 - 1e-12, "strictly between 0 and 1"),
        (Ticket, "at", 0, r"1\.\.160"),
        (Ticket, "at", 161, r"1\.\.160"),
        (Ticket, "at", 20.0, "expected int or str"),
        (Ticket, "at", True, "expected int or str"),
        (Ticket, "at", "bset", "did you mean 'best'"),
        (Retrain, "init", "rewound", "known: inherit, reinit"),
        (Retrain, "schedule", "continued", "did you mean 'continue'"),
        (Retrain, "precision", "int8", "known: bf16, bfp8, fp32, fp8, tf32"),
        (Retrain, "seed", -1, "0.."),
    ],
)
def test_a_bad_field_is_refused_by_its_name(kind, field, value, said):
    good = {Recipe: Recipe(), Search: SEARCH, Ticket: TICKET, Retrain: Retrain(TICKET)}[kind]
    with pytest.raises(UserError, match=rf"^{kind.__name__}\.{field}.*({said})"):
        replace(good, **{field: value})


@pytest.mark.parametrize(
    ("kind", "field", "value"), [(Search, "model", "vgg"), (Search, "dataset", "cifar"), (Ticket, "method", "slim")]
)
def test_an_unknown_name_is_refused_by_its_kind(kind, field, value):
    with pytest.raises(UserError, match=rf"^{field}: unknown name '{value}'; .*known: "):
        replace({Search: SEARCH, Ticket: TICKET}[kind], **{field: value})


def test_continue_needs_the_searchs_epoch_counter():
    with pytest.raises(UserError, match=r'^Retrain\.recipe\.epochs: "continue" .* of the search: need 160'):
        Retrain(TICKET, Recipe(epochs=80), schedule="continue")


def test_soft_pruning_of_factorised_layers_is_refused():
    with pytest.raises(UserError, match=r"^Search\.soft_ratio: .*factorised"):
        replace(SEARCH, soft_ratio=0.3, factorised=Factorised(0.1))


def test_continue_that_leaves_no_epoch_is_refused():
    with pytest.raises(UserError, match=r'^Retrain\.schedule: "continue" from draw epoch 160 leaves no epoch'):
        Retrain(Ticket(SEARCH, 0.5, "final"), schedule="continue")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Ticket(SEARCH, 0.3, 1), Ticket(SEARCH, 3 * 0.1, 1)),
        (Recipe(l1=0.0), Recipe(l1=-0.0)),
        (replace(SEARCH, width=1), replace(SEARCH, width=1.0)),
        (Ticket(SEARCH, 0.5, "final"), Ticket(SEARCH, 0.5, 160)),
    ],
)
def test_two_spellings_of_one_value_are_one_spec(one, other):
    if isinstance(one, Recipe):
        one, other = (Search("vgg16", "cifar10", r) for r in (one, other))
    assert one == other
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stage": "train"}, r"^spec\.stage: unknown name 'train'; .*known: adapt, draw, graph, retrain, search"),
        ({"stage": []}, r"^spec\.stage: unknown name \[\]"),
        ({"numerics": 0}, r"^spec\.numerics: .* asks for 0"),
        ({"extra": 1}, "^spec: expected an object with the fields stage, numerics and spec"),
        ({"spec": []}, "^Search: expected a mapping"),
        ({"spec": {"model": "vgg16"}}, "^Search: missing field 'dataset'"),
        ({"spec": {"model": "vgg16", "dataset": "digits", "sede": 1}}, "^Search: unknown name 'sede'.*'seed'"),
        ({"spec": {"model": "vgg16", "dataset": "digits", "recipe": {"lrr": 1}}}, "^Recipe: unknown name 'lrr'.*'lr'"),
        ({"spec": {"model": "vgg16", "dataset": "digits", "recipe": {"lr": "1"}}}, r"^Recipe\.lr: expected float"),
        ({"spec": {"model": ["vgg16"], "dataset": "digits"}}, r"^Search\.model: expected str"),
    ],
)
def test_json_that_is_no_spec_is_refused_by_the_field(change, said):
    body = json.loads(canonical(tiny_search()))
    with pytest.raises(UserError, match=said):
        from_json(json.dumps({**body, **change}))


@pytest.mark.parametrize("text", ["{", "", "[]", "1"])
def test_text_that_is_no_object_is_refused(text):
    with pytest.raises(UserError, match=r"^spec: (not JSON|expected an object)"):
        from_json(text)


def test_from_dict_refuses_an_unknown_field_of_the_outermost_spec():
    with pytest.raises(UserError, match=r"^Recipe: unknown name 'epoch'; did you mean 'epochs'"):
        from_dict(Recipe, {"epoch": 3})
