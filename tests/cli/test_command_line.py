"""The command line: 0, or 2 with one line that names the field. A bug stays a traceback."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from helpers import TINY, tiny_search

from ebreplicate import __version__, cli
from ebreplicate.data import arrays
from ebreplicate.errors import UserError
from ebreplicate.specs import scale
from ebreplicate.specs.spec import Recipe, Retrain, Ticket, canonical, key
from ebreplicate.store.store import Store

SHORT = Recipe(epochs=1, batch_size=20, milestones=(), augment="none")
SEARCH = tiny_search(SHORT)
TICKET = Ticket(SEARCH, 0.5, 1)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def run(results, command, spec, *options):
    return cli.main([command, spec, "--results", str(results), "--device", "cpu", *options])


def test_search_draw_and_retrain_leave_their_records_and_a_second_time_do_nothing(results, tmp_path, capsys):
    from_file = tmp_path / "spec.json"
    from_file.write_text(canonical(SEARCH))
    retrain = Retrain(TICKET, TINY)
    assert run(results, "search", str(from_file), "--keep-epochs", "1") == 0
    assert run(results, "draw", canonical(TICKET)) == 0
    assert run(results, "retrain", canonical(retrain)) == 0
    capsys.readouterr()

    store = Store(results)
    for command, spec in (("search", SEARCH), ("draw", TICKET), ("retrain", retrain)):
        assert store.read(spec)["status"] == "ok"
        before = store.record_path(spec).stat().st_mtime_ns
        for name in (canonical(spec), key(spec)):
            assert run(results, command, name) == 0
            forget = f"ebreplicate forget {key(spec)}"
            assert capsys.readouterr().err == f"{key(spec)}: already done (to train it again: {forget})\n"
        assert store.record_path(spec).stat().st_mtime_ns == before


def test_a_retrain_draws_its_ticket_unless_that_was_done(results, tmp_path):
    assert run(results, "search", canonical(SEARCH), "--keep-epochs", "1") == 0
    other = tmp_path / "other"
    shutil.copytree(results, other)
    assert run(other, "draw", canonical(TICKET)) == 0
    assert run(results, "retrain", canonical(Retrain(TICKET, SHORT)), "--threads", "2") == 0
    assert torch.get_num_threads() == 2
    store = Store(results)
    drawn = store.read(TICKET)
    assert drawn["metrics"] == Store(other).read(TICKET)["metrics"]
    masks = [(s.folder(TICKET) / "mask.npy").read_bytes() for s in (store, Store(other))]
    assert masks[0] == masks[1]
    assert run(results, "retrain", canonical(Retrain(TICKET, SHORT, init="reinit")), "--threads", "1") == 0
    assert store.read(TICKET) == drawn  # with the time it was made at


@pytest.mark.parametrize(
    ("command", "spec", "options", "said"),
    [
        ("draw", canonical(SEARCH), [], "spec.stage: 'search' is not 'draw'"),
        ("search", "nothing.json", [], "spec: 'nothing.json' is neither JSON nor a readable file"),
        ("search", "x" * 5000, [], "spec: 'xxxx"),
        ("search", "{", [], "spec: not JSON"),
        ("search", canonical(SEARCH).replace("vgg16", "vgg17"), [], "model: unknown name 'vgg17'; did you mean"),
        ("search", canonical(SEARCH), ["--threads", "0"], "--threads: must lie in 1..1024, got 0"),
        ("search", canonical(SEARCH), ["--threads", "99999999999"], "--threads: must lie in 1..1024, got 99999999999"),
        (
            "search",
            canonical(SEARCH),
            ["--keep-epochs", "1", "2"],
            f"--keep-epochs: must lie in 0..1 for {key(SEARCH)}",
        ),
        ("search", canonical(SEARCH), ["--keep-epochs", "-1"], f"--keep-epochs: must lie in 0..1 for {key(SEARCH)}"),
        ("search", canonical(SEARCH), ["--data", ""], "data: is empty; name a folder"),
        ("search", canonical(SEARCH), ["--keep-epi", "slimming"], "--keep-epi: expected METHOD:RATIO, got 'slimming'"),
        (
            "search",
            canonical(replace(SEARCH, model="lenet300")),
            ["--keep-ratios", "0.5"],
            "--keep-ratios: the network has no batch norms",
        ),
        ("search", canonical(SEARCH), ["--device", "tpu"], "device: expected auto, cpu or cuda, got 'tpu'"),
        ("draw", canonical(TICKET), [], f"search {key(SEARCH)} has not been run; run it first"),
        (
            "search",
            canonical(replace(SEARCH, precision="bfp8")),
            ["--processes", "2"],
            "--processes: a training in bfp8 takes one process, not 2",
        ),
        ("retrain", canonical(Retrain(TICKET)), [], f"search {key(SEARCH)} has not been run; run it first"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(results, capsys, command, spec, options, said):
    assert run(results, command, spec, *options) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert out == ""


def test_missing_data_is_bad_input(results, tmp_path, capsys, monkeypatch):
    def no_network(name, root):
        raise UserError(f"data: could not download {name}; put its files under {root}")

    monkeypatch.setattr(arrays, "fetch", no_network)
    spec = json.loads(canonical(SEARCH))
    spec["spec"]["dataset"] = "cifar10"
    assert run(results, "search", json.dumps(spec), "--data", str(tmp_path)) == 2
    assert capsys.readouterr().err == f"error: data: could not download cifar10; put its files under {tmp_path}\n"


def test_a_file_in_the_way_of_a_folder_is_bad_input(tmp_path, capsys):
    (tmp_path / "runs").write_text("")
    assert run(tmp_path, "search", canonical(SEARCH)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/runs/search")
    assert "Not a directory; a file is where a folder belongs: move it away" in said


def test_a_results_folder_in_the_way_of_a_file_is_bad_input(tmp_path, capsys):
    (tmp_path / "results").write_text("")
    assert run(tmp_path / "results", "search", canonical(SEARCH)) == 2
    assert "not writable" in capsys.readouterr().err


def test_an_unknown_dataset_to_fetch_is_bad_input(capsys):
    assert cli.main(["data", "cifar1000"]) == 2
    assert capsys.readouterr().err.startswith("error: data: unknown name 'cifar1000'; did you mean 'cifar100'?")


def test_a_bug_is_a_traceback(results, monkeypatch):
    monkeypatch.setattr(Store, "read", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(results, "search", canonical(SEARCH))


def test_a_home_folder_is_the_users(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", "folders", "--data", "~/sets"]) == 0
    assert (tmp_path / "sets" / "folders").is_dir()
    assert not (tmp_path / "~").exists()


def test_a_package_that_is_not_installed_is_named_with_the_extra_that_has_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "yaml", None)  # importing it fails
    monkeypatch.delitem(sys.modules, "ebreplicate.specs.scale")
    assert cli.main(["plan"]) == 2
    assert capsys.readouterr().err.startswith("error: yaml is not installed; the commands need more than the library")


@pytest.mark.parametrize("command", [["plan"], ["redraw", "--scale", "quick"], ["site"]])
def test_an_installation_without_the_workflow_says_so(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scale, "CONFIG", tmp_path / "site-packages" / "workflow" / "config")
    monkeypatch.chdir(tmp_path)
    assert cli.main(command) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: scale: workflow/config is not beside this package")
    assert err.count("\n") == 1
    assert out == ""


def test_without_arguments_there_is_help_and_the_version_can_be_asked_for(capsys):
    assert cli.main([]) == 0
    assert "search" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"ebreplicate {__version__}\n"


def test_the_beginning_of_a_name_is_recognised(capsys):
    assert cli.main(["plan", "--items", "fig1"]) == 2
    assert "unknown name 'fig1'; did you mean 'fig1_existence'?" in capsys.readouterr().err


def test_a_runs_folder_stands_for_its_spec(results, tmp_path):
    folder = tmp_path / "elsewhere" / key(SEARCH)
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(canonical(SEARCH))
    assert run(results, "search", str(folder)) == 0
    assert Store(results).done(SEARCH)


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train"])
    assert caught.value.code == 2
    assert "invalid choice: 'train'" in capsys.readouterr().err
