"""Specs survive the trip through JSON, and their keys tell apart exactly what differs."""

import json
from dataclasses import fields, is_dataclass, replace

from hypothesis import assume, given
from hypothesis import strategies as st

from ebreplicate.catalog import DATASETS, INFO, METHODS, MODELS, ON_TEXT, WEIGHT_METHODS, takes_images
from ebreplicate.specs.spec import NUMERICS, Recipe, Retrain, Search, Ticket, canonical, from_json, key

POSITIVE = st.floats(1e-6, 1e6)
PENALTY = st.one_of(st.sampled_from([0.0, -0.0, 1e-4]), st.floats(0, 1))
SIZES = st.none() | st.integers(10, 50_000)
PRECISIONS = st.sampled_from(["fp32", "tf32", "bf16", "bfp8", "fp8"])

recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 200),
    batch_size=st.integers(2, 1024),
    lr=POSITIVE,
    milestones=st.sets(st.integers(0, 200), max_size=4).map(lambda s: tuple(sorted(s))),
    lr_decay=st.floats(0.01, 1),
    momentum=st.floats(0, 0.99),
    weight_decay=PENALTY,
    l1=PENALTY,
    augment=st.sampled_from(["crop-flip", "crop", "none"]),
)


PAIRS = [
    (model, dataset)
    for model in sorted(MODELS)
    for dataset in sorted(DATASETS)
    if takes_images(model, INFO[dataset].shape) and model not in ON_TEXT  # sizes of texts are multiples of others
]
searches = st.builds(
    lambda pair, **more: Search(*pair, **more),
    pair=st.sampled_from(PAIRS),
    recipe=recipes,
    seed=st.integers(0, 10**6),
    width=st.floats(0.01, 4),
    train_size=SIZES,
    test_size=SIZES,
    precision=PRECISIONS,
)


@st.composite
def tickets(draw):
    search = draw(searches)
    at = draw(
        st.sampled_from(["eb", "epi", "crop", "crop-code", "best", "final"]) | st.integers(1, search.recipe.epochs)
    )
    method = draw(st.sampled_from(sorted(METHODS)))
    assume(not (at in ("eb", "epi") and method in WEIGHT_METHODS))
    assume(method != "nonzero")  # of searches that prune
    return Ticket(search, draw(st.floats(0.01, 0.99)), at, method)


@st.composite
def retrains(draw):
    ticket, recipe, schedule = draw(tickets()), draw(recipes), draw(st.sampled_from(["full", "continue"]))
    if schedule == "continue":  # on the search's epoch counter, from before its end
        assume(ticket.at != ticket.search.recipe.epochs)
        recipe = replace(recipe, epochs=ticket.search.recipe.epochs)
    init, seed = draw(st.sampled_from(["inherit", "reinit"])), draw(st.none() | st.integers(0, 100))
    return Retrain(ticket, recipe, init, schedule, seed, draw(PRECISIONS))


runs = st.one_of(searches, tickets(), retrains())


@given(runs)
def test_a_spec_survives_its_canonical_json(spec):
    assert from_json(canonical(spec)) == spec


@given(runs)
def test_canonical_json_is_sorted_and_has_neither_spaces_nor_defaults(spec):
    body = {"stage": spec.stage, "numerics": NUMERICS, "spec": without_defaults(spec)}
    assert canonical(spec) == json.dumps(body, sort_keys=True, separators=(",", ":"))


def without_defaults(spec):
    given = {f.name: getattr(spec, f.name) for f in fields(spec) if getattr(spec, f.name) != f.default}
    return {name: without_defaults(v) if is_dataclass(v) else v for name, v in given.items()}


@given(runs, runs)
def test_keys_are_equal_exactly_where_specs_are(a, b):
    assert key(a) == key(from_json(canonical(a)))
    assert (key(a) == key(b)) == (a == b)


@given(searches, searches, st.sampled_from(fields(Search)))
def test_a_changed_field_changes_the_key_and_a_restored_one_restores_it(a, b, field):
    value = getattr(b, field.name)
    pair = {"model": a.model, "dataset": a.dataset, field.name: value}
    assume((pair["model"], pair["dataset"]) in PAIRS)
    changed = replace(a, **{field.name: value})
    assert (key(changed) == key(a)) == (value == getattr(a, field.name))
    assert key(replace(changed, **{field.name: getattr(a, field.name)})) == key(a)


@given(recipes, recipes, st.sampled_from(fields(Recipe)))
def test_a_changed_recipe_field_changes_the_key_of_every_run_that_uses_it(a, b, field):
    value = getattr(b, field.name)
    one = Retrain(Ticket(Search("vgg16", "cifar10", a), 0.5, "eb"))
    other = Retrain(Ticket(Search("vgg16", "cifar10", replace(a, **{field.name: value})), 0.5, "eb"))
    assert (key(one) == key(other)) == (value == getattr(a, field.name))


@given(recipes)
def test_learning_rate_equals_a_loop_that_multiplies_at_milestones(recipe):
    rate = recipe.lr
    for epoch in range(205):
        if epoch in recipe.milestones:
            rate *= recipe.lr_decay
        assert abs(recipe.lr_at(epoch) - rate) <= 1e-12 * rate
