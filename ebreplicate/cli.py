"""Command line: one subcommand per stage. Parse, call one function, write one record."""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from ebreplicate import __version__, interrupt
from ebreplicate.catalog import OWN_STAGES
from ebreplicate.errors import UserError, out_of_resources, shown
from ebreplicate.interrupt import CONTINUE, Interrupted
from ebreplicate.store.locks import BUSY, Busy

RESULTS = os.environ.get("EBREPLICATE_RESULTS") or "results"
DATA = os.environ.get("EBREPLICATE_DATA") or "data"
"""Results and data folders of the commands that the workflow runs, unless they are given one."""
RESULTS_HELP = "results folder (default: EBREPLICATE_RESULTS, else results)"
DATA_HELP = "data folder (default: EBREPLICATE_DATA, else data)"
CONFIG_HELP = "override a field of the scale, KEY=VALUE (YAML); may be given several times"


def _duration(text: str) -> float:
    """A duration of the command line, in seconds."""
    try:
        return interrupt.duration(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from None


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "specs",
        nargs="+",
        metavar="spec",
        help="a run: canonical JSON as `plan --runs` prints it, path of a spec.json, or key of a run that is planned "
        "(manifest.jsonl, which Snakemake writes) or begun in --results; several are run one after another",
    )
    parser.add_argument("--results", default=RESULTS, help=RESULTS_HELP)
    parser.add_argument("--data", default=DATA, help=DATA_HELP)
    device = os.environ.get("EBREPLICATE_DEVICE", "auto")
    parser.add_argument("--device", default=device, help="auto, cpu or cuda (default: EBREPLICATE_DEVICE, else auto)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of this run (default: 1)")
    parser.add_argument(
        "--time-limit",
        type=_duration,
        default=os.environ.get("EBREPLICATE_TIME_LIMIT"),
        metavar="DURATION",
        help=f"save a checkpoint and exit with code {CONTINUE} after this time (90s, 30m, 8h; a plain number is "
        "seconds), as on SIGTERM (default: EBREPLICATE_TIME_LIMIT, else no limit)",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help=f"exit with code {BUSY} if another process works on this run, or on one that it builds on (default: wait)",
    )


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="ebreplicate",
        description="Train, prune and compare: the stages of the early-bird tickets benchmark, one command each. "
        "`snakemake` runs them all; docs/README.md lists the pages.",
    )
    top.add_argument("--version", action="version", version=f"ebreplicate {__version__}")
    sub = top.add_subparsers(dest="command", metavar="COMMAND")

    search = sub.add_parser("search", help="train a dense network and save what draws need")
    _training_options(search)
    search.add_argument(
        "--keep-ratios",
        type=float,
        nargs="*",
        default=[],
        help="fractions of channels to remove, for example 0.5: save the weights of the epoch at which the mask "
        "distance settles for each (added to what is planned)",
    )
    search.add_argument(
        "--keep-epi", nargs="*", default=[], metavar="METHOD:RATIO", help="likewise, by the early pruning indicator"
    )
    search.add_argument(
        "--keep-crop", nargs="*", default=[], metavar="RULE:METHOD:RATIO", help="likewise, by EarlyCroP's rules"
    )
    search.add_argument("--keep-taylor", action="store_true", help="save the Taylor scores that method taylor needs")
    _training_options(sub.add_parser("draw", help="choose what a pruned network keeps (the mask), from a search"))
    retrain = sub.add_parser("retrain", help="train the pruned network of a draw")
    _training_options(retrain)
    for command in (search, retrain):
        command.add_argument(
            "--keep-epochs",
            type=int,
            nargs="*",
            default=[],
            help="numbers of completed epochs after which weights are saved (added to what is planned)",
        )
    sparse = sub.add_parser("sparse", help="train a sparse network from scratch")
    _training_options(sparse)
    _training_options(sub.add_parser("adapt", help="train a search's network for another task"))
    _training_options(sub.add_parser("graph", help="search, draw and retrain tickets of a graph"))
    for name, stage in OWN_STAGES.items():
        _training_options(sub.add_parser(name, help=stage.help))
    for command in (search, retrain, sparse):
        command.add_argument(
            "--processes", type=int, help="processes of this training, one GPU each (default: 1, or as planned)"
        )

    evaluations = {
        "evaluate": "make the table and the figure of one item from the records",
        "tabulate": "make the table of one item from the records",
        "plot": "make the figure of one item from its table",
        "compare": "make the comparison with the papers' numbers from the tables",
    }
    for name, text in evaluations.items():
        command = sub.add_parser(name, help=text)
        if name != "compare":
            command.add_argument("item", help="experiment, for example fig1_existence")
        command.add_argument("--scale", required=True, help="smoke, quick or paper")
        command.add_argument("--results", default=RESULTS, help=RESULTS_HELP)
        command.add_argument("--config", action="append", default=[], help=CONFIG_HELP)
        if name in ("evaluate", "tabulate"):
            command.add_argument("--data", default=DATA, help=DATA_HELP)
        if name == "plot":
            command.add_argument("--output", required=True, help="figure to write; .svg, .png or .pdf")

    redraw = sub.add_parser("redraw", help="make all tables and figures of a scale from the records at hand")
    redraw.add_argument("--scale", required=True, help="smoke, quick or paper")
    redraw.add_argument("--results", default="results", help="results folder (default: results)")
    redraw.add_argument(
        "--figures",
        help="folder to write <scale>/<item>.svg to (default: figures; with --results OTHER: OTHER/figures)",
    )
    redraw.add_argument("--config", action="append", default=[], help=CONFIG_HELP)

    plan = sub.add_parser("plan", help="show what a scale would run and how long it takes, without running it")
    plan.add_argument("--scale", default="smoke", help="smoke, quick or paper (default: smoke)")
    plan.add_argument("--results", default="results", help="results folder (default: results)")
    plan.add_argument("--config", action="append", default=[], help=CONFIG_HELP)
    plan.add_argument("--items", nargs="*", default=[], help="experiments (default: all)")
    plan.add_argument(
        "--device",
        default="auto",
        help="device whose time is estimated: auto, cpu or cuda (from a short trial on this machine), or the name of a "
        "GPU, for example h200 (from its stated FLOPs per second) (default: auto)",
    )
    plan.add_argument("--threads", type=int, default=1, help="CPU threads of a run (default: 1)")
    plan.add_argument("--runs", action="store_true", help="list every run with its spec")

    merge = sub.add_parser("merge", help="take the finished runs of another results folder")
    merge.add_argument("other", help="results folder to take from")
    merge.add_argument("--results", default="results", help="results folder to add to (default: results)")

    forget = sub.add_parser("forget", help="remove runs, with tables and figures made from them, to train them again")
    forget.add_argument("runs", nargs="+", metavar="RUN", help="name of a run: the name of its folder")
    forget.add_argument("--results", default="results", help="results folder (default: results)")
    forget.add_argument("--config", action="append", default=[], help=CONFIG_HELP)

    verify = sub.add_parser("verify", help="check that records, and what was made from them, agree with each other")
    verify.add_argument("--results", default="results", help="results folder (default: results)")

    site = sub.add_parser("site", help="write a folder of static web pages: comparison, claims, figures, every run")
    site.add_argument("--scale", nargs="+", default=[], help="scales to show (default: every one with a finished run)")
    site.add_argument("--results", default="results", help="results folder (default: results)")
    site.add_argument(
        "--figures",
        metavar="DIR",
        help="show existing figures, DIR/<scale>/<item>.svg (default: draw them from the records)",
    )
    site.add_argument("--output", default="site", metavar="DIR", help="folder to write (default: site)")
    site.add_argument("--config", action="append", default=[], help=CONFIG_HELP)

    data = sub.add_parser("data", help="download, make or verify a dataset")
    data.add_argument("names", nargs="+", metavar="cifar10|cifar100|mnist|folders|imagenet|cora|citeseer|pubmed")
    data.add_argument("--data", default=DATA, help=DATA_HELP)

    readme = sub.add_parser("readme", help="rewrite the generated tables of README.md and docs/ from the results")
    readme.add_argument("--results", default="results", help="results folder to read from (default: results)")
    readme.add_argument("--check", action="store_true", help="change nothing; fail if a table is not up to date")
    return top


def _stage(args: argparse.Namespace) -> int:
    """Run the trainings one after another; every spec is checked, and every graph read, before the first is run."""
    from ebreplicate.store.store import Store

    runs = [argparse.Namespace(**{**vars(args), "spec": os.path.expanduser(text)}) for text in args.specs]
    _check_threads(args.threads)
    planned, store = [_planned(run) for run in runs], Store(args.results)
    if len(runs) > 1 and getattr(args, "processes", None):
        raise UserError(f"--processes: of one run at a time, not of {len(runs)}; give one spec")
    needed = dict.fromkeys(s.dataset for _, s in planned if s.stage == "graph" and not store.done(s))
    if needed:
        from ebreplicate.graphs.data import load

        for name in needed:
            load(name, Path(args.data))
    code, started = 0, time.monotonic()
    for run, found in zip(runs, planned, strict=True):
        if args.time_limit is not None:  # of all runs together
            run.time_limit = max(0.0, args.time_limit - (time.monotonic() - started))
        code = max(code, _run(run, *found))
        if interrupt.wanted() and run is not runs[-1]:
            raise Interrupted("stopped between two runs")
    return code


def _check_threads(threads: int) -> None:
    """Raise UserError for a number of CPU threads that no machine has; far beyond, torch ends the process."""
    from ebreplicate.store.schema import MOST_THREADS

    if not 1 <= threads <= MOST_THREADS:
        raise UserError(f"--threads: must lie in 1..{MOST_THREADS}, got {threads}")


def _check_kept(spec: Any, epochs: list[int]) -> None:
    """Raise UserError for epochs of --keep-epochs that the training has not, whose weights nobody would ever save."""
    from ebreplicate.specs.spec import key

    if not epochs or getattr(spec, "schedule", "") == "budget":  # how far that is stretched, its draw will tell
        return
    for epoch in epochs:
        if not 0 <= epoch <= spec.recipe.epochs:
            raise UserError(f"--keep-epochs: must lie in 0..{spec.recipe.epochs} for {key(spec)}, got {epoch}")


def _run(args: argparse.Namespace, planned: Any, spec: Any) -> int:
    """Run one training stage; skip a finished one, and wait while another process holds it or what it builds on."""
    from ebreplicate.specs.graph import trainings_before
    from ebreplicate.specs.spec import LOW_PRECISIONS
    from ebreplicate.store.store import Store

    asked = getattr(args, "processes", None)
    processes = planned.processes if asked is None else asked
    if processes < 1:
        raise UserError(f"--processes: must be at least 1, got {processes}")
    together = max(processes, int(os.environ.get("WORLD_SIZE", 1)))
    if together > 1 and getattr(spec, "precision", "fp32") in LOW_PRECISIONS:
        # Ranks round their shares of a batch with one generator, and their weights would part.
        raise UserError(f"--processes: a training in {spec.precision} takes one process, not {together}; use 1")
    store = Store(args.results, patient=not args.no_wait)
    keep = sorted({*getattr(args, "keep_epochs", []), *planned.keep.epochs})
    if store.read(spec) is not None:
        return _already_done(spec, store, keep)
    store.check_writable()
    interrupt.install(args.time_limit)  # before waits and imports that take seconds, in which a request would be lost
    if "TORCHELASTIC_RUN_ID" in os.environ:  # the process that launched this one holds the lock
        _train(args, spec, store, processes, planned.keep)
        return 0
    try:
        with store.claim(spec, wait=store.patient, inherited=processes > 1) as mine:
            if not mine:
                raise Busy(store.folder(spec))
            if store.read(spec) is not None:  # whom we waited for has run it
                return _already_done(spec, store, keep)
            for earlier in trainings_before(spec):  # with no device held, for which that training may wait
                store.await_other(earlier)
            _train(args, spec, store, processes, planned.keep)
    except Busy as e:
        print(e, file=sys.stderr)
        return BUSY
    print(f"-> {store.record_path(spec)}", file=sys.stderr)
    _say_lacking(spec, store, keep)
    return 0


def _already_done(spec: Any, store: Any, keep: list[int]) -> int:
    """Skip a finished run."""
    from ebreplicate.specs.spec import key

    with contextlib.suppress(OSError):  # on a read-only disk, say
        store.tidy(spec)
    print(f"{key(spec)}: already done (to train it again: ebreplicate forget {key(spec)})", file=sys.stderr)
    _say_lacking(spec, store, keep)
    return 0


def _say_lacking(spec: Any, store: Any, keep: list[int]) -> None:
    """Say how to get weights that were asked for and not saved: they were asked for after their epoch."""
    from ebreplicate.specs.spec import key

    lacking = [str(e) for e in keep if not (store.folder(spec) / "weights" / f"epoch_{e:04d}.pt").is_file()]
    if lacking and spec.stage == "retrain":  # a search's are trained again where a draw or retrain needs them
        how = f"ebreplicate.load_ticket({key(spec)!r}) trains them again and gives the network (docs/your-network.md)"
        print(f"{key(spec)}: weights of epoch {', '.join(lacking)} were not saved; {how}", file=sys.stderr)


def _train(args: argparse.Namespace, spec: Any, store: Any, processes: int, planned: Any) -> None:
    """Run one training stage, whose lock is ours; `planned`: the checkpoints that what is planned after it needs."""
    if args.command in OWN_STAGES:
        OWN_STAGES[args.command].load("stage:run")(spec, store)
        return
    import torch

    from ebreplicate import stages
    from ebreplicate.specs.keep import Keep
    from ebreplicate.store.store import Store
    from ebreplicate.training import distributed
    from ebreplicate.training.device import hold, slot, tune_allocator

    tune_allocator()
    root = Path(args.data)
    if args.command == "retrain" and not distributed.launched():
        stages.have_drawn(spec.ticket, store, root, args.device)
    if processes > 1 and not distributed.launched():
        distributed.launch(args.argv, processes, hold(args.device, processes))
    torch.set_num_threads(args.threads)
    if args.command == "draw":  # on the CPU: it takes no GPU from a training, unless it trains a search again
        stages.draw(spec, store, root, args.device)
        return
    if args.command == "graph":  # on the CPU
        stages.graph_tickets(spec, store, root)
        return
    with slot(args.device) as device, distributed.group(device):
        if not distributed.leads():
            store = Store(args.results, writes=False)
        if args.command == "search":
            fired = set(args.keep_epi), args.keep_taylor, set(args.keep_crop)
            keep = Keep(set(args.keep_epochs), set(args.keep_ratios), *fired)
            stages.search(spec, store, root, device, keep | planned)
        elif args.command == "sparse":
            stages.sparse(spec, store, root, device)
        elif args.command == "adapt":
            stages.adapt(spec, store, root, device)
        else:
            stages.retrain(spec, store, root, device, Keep(set(args.keep_epochs)) | planned)


def _planned(args: argparse.Namespace) -> tuple[Any, Any]:
    """A run given as JSON, as a file, or by its key: as the manifest or its folder has it, and its checked spec."""
    from ebreplicate.specs import spec as specs
    from ebreplicate.store import manifest

    by_key = not args.spec.lstrip().startswith("{") and Path(args.spec).name == args.spec
    planned = manifest.find(args.spec, Path(args.results)) if by_key else None
    planned = planned or manifest.Planned(_spec_text(args))
    spec = specs.from_json(planned.text)
    if spec.stage != args.command:
        raise UserError(f"spec.stage: {spec.stage!r} is not {args.command!r}")
    _check_kept(spec, getattr(args, "keep_epochs", []))
    return planned, spec


def _spec_text(args: argparse.Namespace) -> str:
    """The JSON of a run given as JSON, as a file, or by its name, which is that of its folder under the results."""
    from ebreplicate.files import regular_text

    if args.spec.lstrip().startswith("{"):
        return str(args.spec)
    named = Path(args.results, "runs", args.command, Path(args.spec).name, "spec.json")
    try:
        path = named if Path(args.spec).name == args.spec and named.is_file() else Path(args.spec)
        return regular_text(path / "spec.json" if path.is_dir() else path)  # a run's folder stands for its spec
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else e
        known = "neither JSON nor a readable file, nor the key of a run that was begun or planned in --results"
        raise UserError(f"spec: {shown(args.spec)} is {known} ({reason})") from None


def _evaluate(args: argparse.Namespace) -> None:
    from ebreplicate.report import pipeline
    from ebreplicate.store.store import figures_root

    scale = _scale(args)
    results = Path(args.results)
    if args.command in ("evaluate", "tabulate"):
        _draw_tickets(args, scale)
        pipeline.tabulate(args.item, scale, results)
    if args.command == "evaluate":
        pipeline.plot(args.item, scale, results, figures_root(results) / scale.name / f"{args.item}.svg")
    elif args.command == "plot":
        pipeline.plot(args.item, scale, results, Path(args.output))
    elif args.command == "compare":
        pipeline.compare(scale, results)


def _draw_tickets(args: argparse.Namespace, scale: Any) -> None:
    """Draw the tickets that an item's table reads and that no retrain of its own is going to draw."""
    from ebreplicate.experiments import EXPERIMENTS
    from ebreplicate.experiments.planner import requests
    from ebreplicate.specs.graph import Plan, trainings_before
    from ebreplicate.specs.spec import Retrain, Ticket, key
    from ebreplicate.store.store import Store

    store, plan = Store(args.results), Plan(requests(scale, [EXPERIMENTS.check(args.item)]))
    others = {key(s.ticket) for s in plan.stage(Retrain) if not store.done(s)}
    for ticket in plan.stage(Ticket):
        ready = all(map(store.done, trainings_before(ticket)))
        if ready and key(ticket) not in others and not store.done(ticket):
            from ebreplicate import stages

            stages.have_drawn(ticket, store, Path(args.data))


def _redraw(args: argparse.Namespace) -> None:
    from ebreplicate.report import pipeline
    from ebreplicate.store.store import figures_root

    results = Path(args.results)
    pipeline.redraw(_scale(args), results, Path(args.figures) if args.figures else figures_root(results))


def _scale(args: argparse.Namespace) -> Any:
    from ebreplicate.specs.scale import load_scale, parse_overrides

    return load_scale(args.scale, overrides=parse_overrides(args.config))


def _plan(args: argparse.Namespace) -> None:
    from ebreplicate.errors import unknown
    from ebreplicate.experiments import EXPERIMENTS
    from ebreplicate.report.estimate import DEVICES
    from ebreplicate.report.planning import describe, list_runs

    items = [EXPERIMENTS.check(i) for i in dict.fromkeys(args.items)]
    _check_threads(args.threads)
    if args.device not in DEVICES:
        raise unknown("--device", args.device, DEVICES)
    scale, results = _scale(args), Path(args.results)
    if args.runs:
        print(list_runs(scale, results, items))
        return
    for line in describe(scale, results, items, args.device, args.threads, _in_place):
        _in_place("")
        print(line, flush=True)


def _in_place(text: str) -> None:
    """Say what is being done: on a terminal on one line that the next replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def _data(args: argparse.Namespace) -> None:
    from ebreplicate.catalog import GRAPHS, ON_DISK
    from ebreplicate.errors import unknown

    graphs = [name for name, info in GRAPHS.items() if info.files]
    for name in args.names:
        if name not in (*ON_DISK, *graphs):
            raise unknown("data", name, (*ON_DISK, *graphs))
    for name in args.names:
        if name in graphs:
            from ebreplicate.graphs.data import prepare
        else:
            from ebreplicate.data.arrays import prepare
        prepare(name, Path(args.data))
        print(f"{name}: verified in {args.data}")


def _site(args: argparse.Namespace) -> None:
    from ebreplicate.report import site
    from ebreplicate.specs.scale import SCALES, load_scale, parse_overrides

    overrides = parse_overrides(args.config)
    scales = [load_scale(name, overrides=overrides) for name in dict.fromkeys(args.scale or reversed(SCALES))]
    pages = site.write(scales, Path(args.results), Path(args.output), Path(args.figures) if args.figures else None)
    print(f"{pages} pages; open {Path(args.output) / 'index.html'}")


def _readme(args: argparse.Namespace) -> None:
    from ebreplicate.report import readme

    readme.update(Path(), Path(args.results), check=args.check)


def _merge(args: argparse.Namespace) -> None:
    from ebreplicate.store import merging

    print(merging.merge(Path(args.other), Path(args.results)))


def _forget(args: argparse.Namespace) -> None:
    from ebreplicate.report.forget import forget
    from ebreplicate.specs.scale import parse_overrides

    print(forget([Path(run).name for run in args.runs], Path(args.results), parse_overrides(args.config)))


def _verify(args: argparse.Namespace) -> None:
    from ebreplicate.verify import verify
    from ebreplicate.verify.origin import has_history

    if not (Path(args.results) / "runs").is_dir():
        raise UserError(f"--results: {args.results!r} has no runs; name a folder with runs/<stage>/<key>/record.json")
    runs, problems = verify(Path(args.results))
    if problems:
        raise UserError(f"{len(problems)} disagreements in {runs} runs:\n  " + "\n  ".join(problems))
    print(f"{runs} runs and what was made of them agree")
    if not has_history():
        print("commits of records not looked up: no git history here (a shallow clone: git fetch --unshallow)")


COMMANDS = {
    "search": _stage,
    "draw": _stage,
    "retrain": _stage,
    "sparse": _stage,
    "adapt": _stage,
    "graph": _stage,
    **dict.fromkeys(OWN_STAGES, _stage),
    "evaluate": _evaluate,
    "tabulate": _evaluate,
    "plot": _evaluate,
    "compare": _evaluate,
    "redraw": _redraw,
    "plan": _plan,
    "data": _data,
    "merge": _merge,
    "forget": _forget,
    "verify": _verify,
    "readme": _readme,
    "site": _site,
}


def _find_folders(args: argparse.Namespace) -> None:
    """Expand "~" in the folders that were given. Raises UserError for an empty one, which would be the present one."""
    for name in ("results", "data", "figures", "output", "other"):
        given = getattr(args, name, None)
        if given == "":
            raise UserError(f"{name}: is empty; name a folder")
        if given is not None and given.startswith("~"):  # a shell leaves '~/x' and --data=~/x as they are
            setattr(args, name, os.path.expanduser(given))


def main(argv: list[str] | None = None) -> int:
    """Run a command line; 0 on success, 2 with one line on stderr for bad input or a machine without resources (disk,
    memory), 75 for "continue me" (a training that was stopped and wrote its checkpoint), 69 for "another process
    holds the run, or one that it builds on". A bug is a traceback."""
    args = parser().parse_args(argv)
    if args.command is None:
        parser().print_help()
        return 0
    args.argv = sys.argv[1:] if argv is None else argv
    try:
        _find_folders(args)
        return COMMANDS[args.command](args) or 0
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except Interrupted as e:
        print(f"{e}; run the same command again to continue", file=sys.stderr)
        return CONTINUE
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    except ModuleNotFoundError as e:
        if (e.name or "ebreplicate").partition(".")[0] == "ebreplicate":
            raise
        install = "`make venv` in a clone, or pip install '.[workflow]'"
        print(
            f"error: {e.name} is not installed; the commands need more than the library does: {install}",
            file=sys.stderr,
        )
        return 2
    except Exception as e:
        problem = out_of_resources(e)
        if problem is None:
            raise
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0
