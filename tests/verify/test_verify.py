"""A record that was made passes; one that was improved by hand does not."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers import CPU, NOWHERE, TINY, tiny_search
from synthetic import items_alone

from ebreplicate import published, stages
from ebreplicate.cli import main
from ebreplicate.experiments import EXPERIMENTS
from ebreplicate.files import digest
from ebreplicate.report import pipeline, readme
from ebreplicate.report.drawing import same_drawing
from ebreplicate.specs.keep import Keep
from ebreplicate.specs.scale import load_scale
from ebreplicate.specs.spec import Retrain, Search, Sparse, Ticket, key
from ebreplicate.store.checkout import git
from ebreplicate.store.store import Store
from ebreplicate.verify import origin, provenance_problems, run_problems, verify
from ebreplicate.verify.pages import page_problems

SEARCH = tiny_search()
TICKET = Ticket(SEARCH, 0.5, 1)
RETRAIN = Retrain(TICKET, TINY)
TWIN = Retrain(Ticket(SEARCH, 0.5, "best"), TINY)
FIRST = Retrain(Ticket(SEARCH, 0.5, 3), TINY)
SPARSE = Sparse("vgg16", "digits", TINY, width=0.0625, train_size=60, test_size=40, interval=2)
RUNS = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Real runs: a search, draws, retrains (two of them names of one), a sparse training."""
    store = Store(tmp_path_factory.mktemp("made") / "results")
    record = stages.search(SEARCH, store, NOWHERE, CPU, Keep({1, 2, 3}))
    stages.sparse(SPARSE, store, NOWHERE, CPU)
    best = replace(RETRAIN, ticket=replace(TICKET, at=record["metrics"]["best_epoch"]))
    for spec in {key(s): s for s in (RETRAIN, FIRST, best, TWIN)}.values():
        stages.draw(spec.ticket, store)
        stages.retrain(spec, store, NOWHERE, CPU)
    return store


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "results")
    return Store(tmp_path / "results")


def rewrite(store, spec, change):
    """Edit a record as a careful forger would: with the digests of the files as they now are."""
    path = store.record_path(spec)
    record = json.loads(path.read_text())
    change(record)
    if "files" in record:
        record["files"] = {name: digest(path.parent / name) for name in record["files"]}
    path.write_text(json.dumps(record))


def caught(store, spec, message):
    found = list(run_problems(store.folder(spec), store))
    assert any(re.search(message, line) for line in found), found


def test_what_was_made_agrees(store):
    runs, found = verify(store.root)
    assert found == []
    assert runs in (RUNS, RUNS - 2)  # the best epoch may be one of the others
    assert "trained_as" in store.read(TWIN)


def better(name, by=1.0):
    return lambda record: record["metrics"].update({name: record["metrics"][name] + by})


def scaled(name, by=0.9, **among):
    """A cost multiplied under every convention, and sums made right again where they are said."""

    def change(record):
        cost = record["cost"]
        value = cost[name]
        cost[name] = {c: v * by for c, v in value.items()} if isinstance(value, dict) else value * by
        if among.get("total"):
            parts = (cost["search_flops"], cost["retrain_flops"])
            cost["training_flops"] = {c: cost["draw_flops"] + sum(p[c] for p in parts) for c in cost["training_flops"]}

    return change


def both(*changes):
    def change(record):
        for one in changes:
            one(record)

    return change


def hidden(record):
    """A bad outcome made none."""
    record.update(status="no-ticket", cost={})
    record["metrics"] = dict.fromkeys(("last_accuracy", "best_accuracy", "best_epoch")) | {"epochs": 0}


def cheaper_sparse(by):
    def change(record):
        cost = record["cost"]
        for name in ("training_flops", "relative_training"):
            cost[name] = {c: v * by for c, v in cost[name].items()}

    return change


def denser(record):
    name = next(iter(record["metrics"]["density"]))
    record["metrics"]["density"][name] *= 0.5


FORGED = [
    (RETRAIN, better("last_accuracy", 5.0), "last_accuracy .* which is what history.csv has"),
    (SEARCH, better("best_accuracy", 5.0), "best_accuracy .* which is what history.csv has"),
    (SEARCH, better("early_stop_accuracy", 2.5), "early_stop_accuracy .* which is what history.csv has"),
    (SEARCH, better("last_top5", -2.5), "last_top5 .* which is what history.csv has"),
    (SEARCH, better("best_epoch", -1), "best_epoch .* which is what history.csv has|best_epoch"),
    (SPARSE, better("last_train_loss", -0.5), "last_train_loss .* which is what history.csv has"),
    (RETRAIN, better("last_accuracy", 0.01), "is no count of 40 test images"),
    (RETRAIN, better("epochs", 1), "epochs 4 against 3"),
    (SEARCH, lambda r: r["metrics"].update(bn_channels=1), "bn_channels 1 against"),
    (SEARCH, lambda r: r.update(status="diverged"), "status 'diverged': its history is that of one that is 'ok'"),
    (RETRAIN, hidden, "status 'no-ticket', and its draw is 'ok' at epoch 1"),
    (SEARCH, scaled("training_flops"), "training_flops .* of its network"),
    (SEARCH, scaled("forward_flops"), "forward_flops .* of its network"),
    (SEARCH, lambda r: r["cost"]["forward_flops"].update(fvcore=1.0), "forward_flops .* of its network"),
    (SEARCH, lambda r: r["cost"].update(seconds=0.0), "seconds 0 are fewer than the"),
    (SEARCH, lambda r: r["cost"].update(precision="bfp8"), "precision bfp8 against fp32"),
    (RETRAIN, scaled("training_flops"), "training_flops .* the sum of its parts"),
    (RETRAIN, scaled("retrain_flops", total=True), "retrain_flops .* of its network and epochs"),
    (RETRAIN, scaled("search_flops", total=True), "search_flops .* of its draw"),
    (RETRAIN, scaled("draw_flops", 0.0, total=True), "draw_flops 0 against .* of its draw"),
    (RETRAIN, scaled("forward_flops"), "forward_flops .* of its draw"),
    (RETRAIN, lambda r: r["cost"].pop("draw_flops"), "lacks draw_flops"),
    (RETRAIN, lambda r: r.update(trained_as=key(RETRAIN)), "was trained as .*, which is no other name of it"),
    (RETRAIN, lambda r: r.update(trained_as=key(FIRST)), "was trained as .*, which is no other name of it"),
    (TWIN, better("last_accuracy", 2.5), "metrics are not those of .*, as which it was trained"),
    (TWIN, lambda r: r.pop("trained_as"), "history.csv: unreadable"),
    (TICKET, lambda r: r["metrics"]["emergence"].update(authors=2), "emergence .* which is what the scores give"),
    (TICKET, lambda r: r["metrics"].update(epoch=2), "epoch 2 against 1, which 1 is"),
    (TICKET, lambda r: r["metrics"]["channels"].__setitem__(0, 1), "channels .* of the mask"),
    (TICKET, better("kept", -1), "kept .* of the mask"),
    (TICKET, better("removed_fraction", 0.1), "removed_fraction .* of the mask"),
    (TICKET, better("parameters", -1), "parameters .* of the mask"),
    (TICKET, better("empty_layers", 1), "empty_layers .* of the scores"),
    (TICKET, lambda r: r["cost"]["forward_flops"].update(authors=1.0), "forward_flops .* of its network"),
    (TICKET, scaled("search_flops"), "search_flops .* of its network"),
    (TICKET, scaled("draw_flops"), "draw_flops .* of its network"),
    (SPARSE, better("sparsity", 0.05), "sparsity .* of its layers"),
    (SPARSE, better("nnz", -5), "nnz .* of its layers"),
    (SPARSE, denser, "nnz .* of its layers"),
    (SPARSE, scaled("sparse_forward_flops"), "sparse_forward_flops .* of its network"),
    (SPARSE, scaled("relative_training"), "relative_training .* of its network"),
    (SPARSE, cheaper_sparse(0.9), "training_flops .* at its densities"),
    (SEARCH, lambda r: r.pop("metrics"), "not a record"),
    (SEARCH, lambda r: r["provenance"].update(ended="2001-01-01T00:00:00+00:00"), "before it started"),
    (SEARCH, lambda r: r["provenance"].update(ended="2999-01-01T00:00:00+00:00"), "which is to come"),
    (SEARCH, lambda r: r["provenance"].pop("started"), "no times of start and end"),
    (SEARCH, lambda r: r["provenance"].pop("device"), "provenance: lacks device"),
    (TICKET, lambda r: r["provenance"].update(threads=0.5), "provenance: threads is 0.5, not a count"),
    (TICKET, lambda r: r["provenance"].update(instructions=""), "provenance: instructions is '', not a text"),
    (TICKET, lambda r: r["provenance"].update(system=""), "provenance: system is '', not a text"),
    (RETRAIN, lambda r: r["provenance"].update(versions={}), r"provenance: versions are \{\}"),
    (RETRAIN, lambda r: r["metrics"].pop("best_epoch"), "lacks best_epoch"),
    (SEARCH, lambda r: r["cost"].pop("forward_flops"), "lacks forward_flops"),
    (SEARCH, lambda r: r["metrics"].pop("bn_widths"), "lacks bn_widths"),
    (TICKET, lambda r: r["metrics"].pop("parameters"), "lacks parameters"),
    (TWIN, lambda r: r["cost"].update(seconds=1e-3), "seconds 0.001 against .* as which it was trained"),
]


@pytest.mark.parametrize(("spec", "change", "message"), FORGED, ids=[f"{f[0].stage}: {f[2][:30]}" for f in FORGED])
def test_a_forged_record_is_caught(store, spec, change, message):
    rewrite(store, spec, change)
    caught(store, spec, message)


def rows_of(store, spec):
    with (store.folder(spec) / "history.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def with_history(store, spec, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (store.folder(spec) / "history.csv").write_text(text.getvalue())


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("test_accuracy", "97.3", r"epoch 3: test_accuracy 97.3 is no count of 40 test images"),
        ("test_accuracy", "102.5", r"epoch 3: test_accuracy 102.5 is no count of 40"),
        ("test_top5", "0", "epoch 3: test_top5 is below test_accuracy"),
        ("lr", "0.1", "epoch 3: lr 0.1 is not the recipe's 0.01"),
        ("epoch", "4", "its epochs are not 1, 2, ..."),
        ("train_loss", "nan", "status 'ok': its history is that of one that is 'diverged'"),
        ("train_seconds", "-1", "epoch 3: took less than no time"),
        ("test_loss", "x", "history.csv: unreadable"),
    ],
)
def test_a_forged_history_is_caught(store, column, value, message):
    rows = rows_of(store, RETRAIN)
    rows[-1][column] = value
    with_history(store, RETRAIN, rows)
    rewrite(store, RETRAIN, lambda _: None)
    caught(store, RETRAIN, message)


def test_a_column_that_is_there_twice_is_caught(store):
    """Readers would differ in which of the two they take."""
    path = store.folder(RETRAIN) / "history.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{head},test_accuracy", *(f"{row},100" for row in rows)]))
    rewrite(store, RETRAIN, lambda _: None)
    caught(store, RETRAIN, r"history\.csv: unreadable \(a column is there twice\)")


def test_a_file_that_the_record_does_not_vouch_for_any_more_is_caught(store):
    rows = rows_of(store, RETRAIN)
    rows[0]["train_loss"] = "1.5"
    with_history(store, RETRAIN, rows)
    caught(store, RETRAIN, r"history.csv is not what it was \(its SHA-256 is not the record's\)")
    (store.folder(RETRAIN) / "history.csv").unlink()
    caught(store, RETRAIN, r"history.csv is not here")


def test_other_scores_are_caught(store):
    path = store.folder(SEARCH) / "scores.npy"
    scores = np.load(path)
    np.save(path, scores + 0.25)  # every mask and every emergence stays what it is
    rewrite(store, SEARCH, lambda _: None)
    caught(store, SEARCH, r"scores\.npy does not begin with those of the untrained network")
    np.save(path, scores[:-1])
    rewrite(store, SEARCH, lambda _: None)
    caught(store, SEARCH, r"scores\.npy has \(3, .*entries, not \(4, ")
    scores[-1, 0] = np.inf
    np.save(path, scores)
    rewrite(store, SEARCH, lambda _: None)
    caught(store, SEARCH, r"scores\.npy: not all are finite")


def test_another_mask_is_caught(store):
    path = store.folder(TICKET) / "mask.npy"
    packed = np.load(path)
    packed[0] ^= 0x80
    np.save(path, packed)
    rewrite(store, TICKET, lambda _: None)
    caught(store, TICKET, r"mask\.npy is not the mask of the scores at its epoch")
    caught(store, TICKET, "kept .* of the mask")


def test_a_missing_part_is_a_problem_not_a_crash(store):
    shutil.rmtree(store.folder(TICKET))
    caught(store, RETRAIN, "its draw .* is not here")
    shutil.rmtree(store.folder(SEARCH))
    caught(store, FIRST.ticket, "what it was drawn from, .* is not here")
    for spec in (RETRAIN, FIRST, TWIN, SPARSE):
        record = store.read(spec)
        for name in ("density", "last_train_loss"):
            record["metrics"].pop(name, None)
        store.record_path(spec).write_text(json.dumps(record))
    caught(store, SPARSE, r"lacks what a record of its stage has \(KeyError: 'density'\)")


TIMES = {"started": "2026-11-21T00:00:00+00:00", "ended": "2026-11-21T01:00:00+00:00"}
HEAD = "a" * 40


def provenance(monkeypatch, spec, **more):
    import datetime

    made = {HEAD: datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)}
    monkeypatch.setattr(origin, "has_history", lambda: True)
    monkeypatch.setattr(origin, "committed_at", made.get)
    told = {"command": f"ebreplicate {spec.stage} {key(spec)}", "clean": True, "commit": HEAD}
    return list(provenance_problems(spec, {"provenance": {**TIMES, **told, **more}}))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (f"ebreplicate search {key(SEARCH)} --device cuda --threads 4", None),
        (f"ebreplicate search {key(RETRAIN)} --device cpu --threads 1", "of another run"),
        ("ebreplicate search", "of another run"),
        ("something search", "of another run"),
        ("ebreplicate search /home/somebody/spec.json", "contains a path"),
    ],
)
def test_the_command_is_the_runs_own_and_tells_no_path(told, said):
    found = " ".join(provenance_problems(SEARCH, {"provenance": {**TIMES, "command": told}}))
    assert said in found if said else not found


def test_a_run_that_was_trained_under_another_name_tells_that_ones_command():
    told = {**TIMES, "command": f"ebreplicate retrain {key(RETRAIN)} --device cpu --threads 1"}
    assert list(provenance_problems(TWIN, {"provenance": told, "trained_as": key(RETRAIN)})) == []
    assert list(provenance_problems(TWIN, {"provenance": told})) != []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"clean": False}, "not committed"),
        ({"clean": None}, "not committed"),
        ({"commit": None}, "names no commit"),
        ({"commit": "--help"}, "names no commit"),
        ({"commit": "b" * 40}, "is not in the history of this repository"),
        ({"started": "2026-11-01T00:00:00+00:00"}, "before its commit was made"),
        ({"started": "2026-11-21"}, "no times of start and end"),
    ],
)
def test_code_that_nobody_can_look_up_is_a_problem_except_on_stand_in_data(monkeypatch, more, message):
    real = Search("vgg16", "cifar10")
    assert provenance(monkeypatch, real) == []
    for spec in (real, Ticket(real, 0.5, 1)):
        (found,) = provenance(monkeypatch, spec, **more)
        assert message in found
    if "started" not in more:
        assert provenance(monkeypatch, SEARCH, **more) == []


def test_pages_that_do_not_follow_from_the_records_are_caught(tmp_path, monkeypatch):
    items_alone(monkeypatch, "detector_study", "table1_schedules")
    results, quick = tmp_path / "results", load_scale("quick")
    (results / "runs").mkdir(parents=True)
    for item in EXPERIMENTS:
        pipeline.tabulate(item, quick, results)
    pipeline.compare(quick, results)
    figure = tmp_path / "figures" / "quick" / "table1_schedules.svg"
    pipeline.plot("table1_schedules", quick, results, figure)
    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text(f"# A page\n{readme.BEGIN}\n{readme.END}\n<!-- agreement: begin -->\n<!-- agreement: end -->\n")
    readme.update(tmp_path, results)
    assert list(page_problems(results)) == []

    text = figure.read_text()
    place = text.index("<path d=") + 12
    figure.write_text(text[:place] + "9" + text[place:])
    for path in (page, results / "tables/quick/detector_study.csv", results / "comparison/quick.md"):
        path.write_text(path.read_text().replace("not run", "agrees!", 1))
    sums = tmp_path / "published"
    shutil.copytree(published.FOLDER, sums)
    number = sums / "eb_table3_resnet18_imagenet.csv"
    number.write_text(number.read_text().replace("69.57", "65.57"))
    (sums / "invented.csv").write_text("value\n1\n")
    (figure.parent / "better.png").write_bytes(b"a picture")
    monkeypatch.setattr(published, "FOLDER", sums)
    found = list(page_problems(results))
    named = (
        "eb_table3_resnet18",
        "invented",
        "quick/detector_study",
        "quick.md",
        "table1_schedules.svg",
        "docs/results.md",
        "better.png",
    )
    assert len(found) == len(named), found
    assert all(any(name in line for line in found) for name in named), found


def test_a_page_made_of_a_comparison_without_its_columns_is_named(tmp_path, monkeypatch):
    items_alone(monkeypatch, "detector_study")
    results, page = tmp_path / "results", tmp_path / "docs" / "results.md"
    (results / "runs").mkdir(parents=True)
    (results / "comparison").mkdir()
    (results / "comparison" / "paper.csv").write_text("item\nwann\n")
    page.parent.mkdir()
    page.write_text("<!-- agreement: begin -->\n<!-- agreement: end -->\n")
    stale, lacking = page_problems(results)
    assert "paper.csv: does not follow from the records" in stale
    assert "results.md: not made again, because a comparison lacks a column" in lacking


def test_a_project_whose_pages_lost_their_tables_is_caught(tmp_path):
    (tmp_path / "README.md").write_text("EB Train reaches 99.9 %.\n")
    (tmp_path / "results" / "runs").mkdir(parents=True)
    assert list(page_problems(tmp_path / "results")) == []  # anybody's page, beside anybody's results
    (tmp_path / "ebreplicate" / "published").mkdir(parents=True)
    results, docs, status, headline, figure = page_problems(tmp_path / "results")
    assert "README.md: the markers <!-- status: begin -->" in status
    assert "README.md: the markers <!-- headline: begin -->" in headline
    assert "results.md: is not here" in results
    assert "statistics.md: is not here" in docs
    assert "headline.svg: does not follow from the claims" in figure


def test_an_embedded_image_is_compared_by_its_pixels():
    import base64

    from PIL import Image

    def svg(colour, level):
        buffer = io.BytesIO()
        Image.new("L", (4, 4), colour).save(buffer, "png", compress_level=level)
        return f'<image xlink:href="data:image/png;base64,\n{base64.b64encode(buffer.getvalue()).decode()}"/>'

    assert same_drawing(svg(7, 1), svg(7, 9))
    assert same_drawing(svg(7, 1), svg(8, 1))  # a level of 255 is rounding
    assert not same_drawing(svg(7, 1), svg(9, 1))


def drawing(nudge=0.0, y=2.0, label="seeds"):
    """A clipped curve with markers, as SVG, its frame and data moved by a relative `nudge`."""
    from ebreplicate.experiments.common import style

    plt = style.use()
    figure = plt.figure(layout="none", figsize=(3, 2))
    axis = figure.add_axes((0.1, 0.1, 0.8 * (1 + nudge), 0.8))
    axis.plot([0, 1, 3], [1, y * (1 + nudge), 3], marker="o", label=label)
    axis.legend(loc="upper left")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


def test_the_last_bits_of_another_processor_are_the_same_drawing():
    """Matplotlib names a clip path by a hash of its frame's floats, so their last bit changes ids all over the file."""
    ours, theirs = drawing(), drawing(nudge=1e-13)
    assert re.findall(r"url\(#(p\w+)\)", ours) != re.findall(r"url\(#(p\w+)\)", theirs)
    assert same_drawing(ours, theirs)


@pytest.mark.parametrize("change", [{"y": 2.01}, {"label": "runs"}])
def test_another_value_or_word_is_another_drawing(change):
    assert not same_drawing(drawing(), drawing(**change))


def test_ids_are_compared_by_what_they_refer_to():
    clip = '<clipPath id="p0123456789"/><clipPath id="pabcdefabcd"/><path clip-path="url(#{})"/>'
    renamed = '<clipPath id="p1111111111"/><clipPath id="p2222222222"/><path clip-path="url(#{})"/>'
    assert same_drawing(clip.format("p0123456789"), renamed.format("p1111111111"))
    assert not same_drawing(clip.format("p0123456789"), renamed.format("p2222222222"))


def test_what_verify_cannot_see(store):
    """One image more, in history, record, every digest, and no mark of it elsewhere: only running it again tells."""
    rows = rows_of(store, RETRAIN)
    best = max(range(3), key=lambda i: float(rows[i]["test_accuracy"]))
    more = float(rows[best]["test_accuracy"]) + 2.5
    rows[best] |= {"test_accuracy": f"{more:g}", "test_top5": "100"}
    with_history(store, RETRAIN, rows)

    def forge(record):
        metrics = record["metrics"]
        metrics["best_accuracy"], metrics["best_top5"] = more, 100.0
        for name, epoch in (("last", 3), ("early_stop", metrics["early_stop_epoch"])):
            if epoch == best + 1:
                metrics[f"{name}_accuracy"] = more
        if best == 2:
            metrics["last_top5"] = 100.0

    rewrite(store, RETRAIN, forge)
    assert list(run_problems(store.folder(RETRAIN), store)) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_comparison_that_could_not_be_made_is_said_to_be_missing(store, known, monkeypatch, capsys):
    monkeypatch.setattr(origin, "has_history", lambda: known)
    assert main(["verify", "--results", str(store.root)]) == 0
    agree, *more = capsys.readouterr().out.splitlines()
    assert agree.endswith("runs and what was made of them agree")
    assert [line.split(":")[0] for line in more] == [] if known else ["commits of records not looked up"]


@pytest.mark.skipif(not origin.has_history(), reason="not a git checkout with its history")
def test_a_commit_is_looked_up_in_the_history():
    head = git("rev-parse", "HEAD")
    assert origin.committed_at(head).tzinfo is not None
    assert origin.committed_at("0" * 40) is None
