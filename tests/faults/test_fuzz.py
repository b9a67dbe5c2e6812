"""The readers of specs, configuration and records under arbitrary input: a value or one clear UserError, nothing else.

Each property is tried a hundred times in the default suite and some thousand times by `make faults`.
"""

import json
from pathlib import Path

import pytest
import yaml
from helpers import tiny_search
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from synthetic import Outcome, drawn, trained

from ebreplicate.errors import UserError
from ebreplicate.experiments.common.rows import accuracies
from ebreplicate.specs.scale import load_scale, parse_overrides
from ebreplicate.specs.spec import Retrain, Sparse, Ticket, canonical, from_json, key
from ebreplicate.store.merging import checked_run
from ebreplicate.store.store import Store
from faults.suite import fast_fault, fault

QUICK, LONG = 100, 3500
SEARCH = tiny_search()
RUNS = [SEARCH, Ticket(SEARCH, 0.5, 1), Retrain(Ticket(SEARCH, 0.5, "eb")), Sparse("vgg16", "digits")]
LONGEST = 2000
"""Characters of a message that is one to read."""

numbers = st.one_of(
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.sampled_from([0, -1, 1e308, 2**53, 2**64, float("inf"), float("nan"), -0.0, True]),
)
texts = st.one_of(
    st.text(max_size=20), st.sampled_from(["eb", "final", "../..", "/etc/passwd", "\0", "\ud800", "{run}"])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def places(value, path=()):
    """Every place in a JSON value, as the path of keys and positions that leads there."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from places(part, (*path, name))


def replaced(value, path, change):
    """A copy of `value` with `change` applied at `path`."""
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], change)
    return copy


@st.composite
def mutated(draw, whole):
    """A JSON value like `whole`, changed in one to three places: replaced, removed, added to or wrapped."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(whole))))
        value, name = draw(values), draw(texts)
        kind = draw(st.sampled_from(["replace", "remove", "add", "wrap"]))
        if kind == "replace" or not path:
            whole = replaced(whole, path, lambda _, v=value: v)
        elif kind == "remove":
            whole = replaced(whole, path[:-1], lambda outer, last=path[-1]: without(outer, last))
        elif kind == "wrap":
            whole = replaced(whole, path, lambda old: [old])
        else:
            whole = replaced(whole, path, lambda old, n=name, v=value: {**old, n: v} if isinstance(old, dict) else v)
    return whole


def without(outer, name):
    if isinstance(outer, dict):
        return {k: v for k, v in outer.items() if k != name}
    return outer[:name] + outer[name + 1 :]


@st.composite
def edited(draw, text):
    """A text like `text`, with characters removed, repeated, exchanged or put in."""
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        put = draw(st.sampled_from(["", text[a:b], '"', "{", "}", "[", "1e999", "NaN", "\ud800", "\0", "9" * 5000]))
        text = text[:a] + put + text[b:] if draw(st.booleans()) else text[:a] + put + text[a:]
    return text


def clearly(read, *arguments):
    """What `read` gives, or None where it refuses clearly: one UserError, of readable length, that can be printed."""
    try:
        return read(*arguments)
    except UserError as e:
        message = str(e)
        assert message, "a message says something"
        assert len(message) < LONGEST, message[:LONGEST]
        message.encode()  # it can be printed
        return None


def tried(strategy, *examples):
    """Make of a property two tests: a quick one of the default suite, and a long one of the fault suite."""

    def both(check):
        base = check
        for one in examples:
            base = example(one)(base)
        given_it = given(strategy)(base)
        healthy = list(HealthCheck)
        quick = settings(max_examples=QUICK, suppress_health_check=healthy)(given_it)
        long = settings(max_examples=LONG, suppress_health_check=healthy, derandomize=False)(given(strategy)(check))
        return quick, long

    return both


def spec_text(text):
    spec = clearly(from_json, text)
    if spec is not None:
        assert from_json(canonical(spec)) == spec
        assert "/" not in key(spec)


specs = st.one_of(
    st.sampled_from(RUNS).flatmap(lambda s: mutated(json.loads(canonical(s)))).map(json.dumps),
    st.sampled_from(RUNS).flatmap(lambda s: edited(canonical(s))),
    values.map(json.dumps),
    st.text(),
)
DEEP = canonical(RUNS[2]).replace('"ratio":0.5', '"ratio":' + "[" * 900 + "]" * 900)
HOSTILE_JSON = [DEEP, "[" * 100_000, '{"stage":"search","numerics":1,"numerics":1,"spec":{}}', "9" * 5000, "\ud800"]
SPEC_QUICK, SPEC_LONG = tried(specs, *HOSTILE_JSON)(spec_text)


@fast_fault("Arbitrary text as a spec", "a spec with a key, or one clear line (100 cases each time the suite runs)")
def test_any_text_as_a_spec():
    SPEC_QUICK()


@fault("Arbitrary text as a spec, 3,500 cases", "as above")
def test_any_text_as_a_spec_for_long(figures):
    SPEC_LONG()
    figures["cases"] = LONG


RECORDS = {
    "search": trained(Outcome(50.0)),
    "draw": drawn(RUNS[1], 1),
    "retrain": trained(Outcome(None, "no-ticket")),
    "sparse": trained(Outcome(50.0)),
}


def full(spec):
    return {"key": key(spec), "stage": spec.stage, **RECORDS[spec.stage], "files": {"mask.npy": "0" * 64}}


records = st.sampled_from(RUNS).flatmap(
    lambda spec: st.tuples(
        st.just(spec),
        st.one_of(
            mutated(full(spec)).map(json.dumps),
            edited(json.dumps(full(spec))),
            mutated(full(spec)).map(json.dumps).flatmap(edited),
            values.map(json.dumps),
            st.binary(),
        ),
    )
)


def record_reader(folder):
    """The check of one record under a results root."""

    def check(case):
        spec, text = case
        store = Store(folder)
        path = store.record_path(spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "spec.json").write_text(canonical(spec))
        path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        record = clearly(store.read, spec)
        assert (clearly(checked_run, path.parent) is None) == (record is None)
        if record is not None:  # then every reader finds what it relies on
            assert record["key"] == key(spec)
            uses(spec, record)

    return check


def uses(spec, record):
    """What tables do with a record."""

    json.dumps(record, allow_nan=False)
    if isinstance(spec, Ticket):
        assert record["metrics"]["emergence"]["authors"] is None or record["metrics"]["emergence"]["authors"] >= 0
        assert (record["metrics"]["epoch"] is None) == (record["status"] != "ok")
        return
    found = accuracies(record)
    assert all(value is None or 0 <= value <= 100 for value in found.values())
    if record["status"] != "no-ticket":
        assert 1 / record["cost"]["training_flops"]["authors"] > 0
        assert record["cost"]["seconds"] >= 0


@fast_fault("Arbitrary bytes as a record", "a record that every reader can use, or one clear line (100 cases)")
def test_any_bytes_as_a_record(tmp_path):
    tried(records, *((SEARCH, text) for text in HOSTILE_JSON))(record_reader(tmp_path))[0]()


@fault("Arbitrary bytes as a record, 3,500 cases", "as above")
def test_any_bytes_as_a_record_for_long(tmp_path, figures):
    tried(records)(record_reader(tmp_path))[1]()
    figures["cases"] = LONG


SMOKE = yaml.safe_load((Path(load_scale.__code__.co_filename).parents[2] / "workflow/config/smoke.yaml").read_text())
BOMB = "seeds=[&a [1,1], &b [*a,*a], &c [*b,*b], &d [*c,*c], [*d,*d]]"
HOSTILE_YAML = [
    BOMB,
    "seeds=&a [*a]",
    "seeds={[1]: 2}",
    "seeds={? {a: 1} : 2}",
    "seeds=" + "[" * 300,
    "note=2020-01-01",
    "note=!!binary aGk=",
    "seeds=!!set {1, 2}",
    "seeds=!!int x",
    "seeds=!!timestamp x",
    "seeds=[!!bool x]",
    "seeds=[0b_]",
    "seeds=[" + "9" * 5000 + "]",
    "epochs={" + "9" * 5000 + ": 1}",
    "epochs={1: 1, '1': 2}",
    "epochs={true: 1}",
    "epochs={1: 1.0}",
    "draw_epochs=[1.0]",
    "recipe={lr: .inf}",
    "recipe={lr: 1e999}",
    "models={vgg16: {name: vgg16, width: .nan}, preresnet101: {name: preresnet20}}",
    "datasets={cifar10: {name: ../x}, cifar100: {name: digits100}}",
    "=",
    "\0=\0",
]
overrides = st.one_of(
    st.sampled_from(sorted(SMOKE)).flatmap(
        lambda name: st.one_of(
            mutated(SMOKE[name]).map(lambda v: f"{name}={json.dumps(v)}"),
            edited(yaml.safe_dump(SMOKE[name], default_flow_style=True)).map(lambda t: f"{name}={t}"),
            st.text().map(lambda t: f"{name}={t}"),
        )
    ),
    st.text(),
    st.sampled_from(HOSTILE_YAML),
)


def override(pair):
    given_ = clearly(parse_overrides, [pair])
    if given_ is None:
        return
    scale = clearly(load_scale, "smoke", given_)
    if scale is not None:
        for item in ("fig1_existence", "table1_schedules"):  # a scale that was let through can be planned with
            from ebreplicate.experiments import EXPERIMENTS

            runs = clearly(EXPERIMENTS.load(item).runs, scale)
            assert runs is None or all(key(run) for run in runs[:5])


OVERRIDE_QUICK, OVERRIDE_LONG = tried(overrides, *HOSTILE_YAML)(override)


@fast_fault("Arbitrary text as configuration", "a scale that can be planned with, or one clear line (100 cases)")
def test_any_text_as_configuration():
    OVERRIDE_QUICK()


@fault("Arbitrary text as configuration, 3,500 cases", "as above")
def test_any_text_as_configuration_for_long(figures):
    OVERRIDE_LONG()
    figures["cases"] = LONG


def test_the_long_mode_is_long_enough():
    assert 3 * LONG >= 10_000


@pytest.mark.parametrize("text", HOSTILE_JSON)
def test_hostile_json_is_refused_clearly(text):
    assert clearly(from_json, text) is None


@pytest.mark.parametrize("text", HOSTILE_YAML)
def test_hostile_yaml_is_refused_clearly(text):
    def read():
        return load_scale("smoke", parse_overrides([text]))

    assert clearly(read) is None
