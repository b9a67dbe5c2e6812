"""Command line: one subcommand per stage. Parse, call one function, write one record."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ebreplicate import warm
from ebreplicate.errors import UserError


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", help="canonical JSON of the run, as `plan --runs` prints it, or a path to a spec.json")
    parser.add_argument("--results", default="results", help="results root (default: results)")
    parser.add_argument("--data", default=os.environ.get("EBREPLICATE_DATA", "data"), help="data root (default: data)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of this run (default: 1)")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="ebreplicate", description=__doc__)
    sub = top.add_subparsers(dest="command", required=True)

    search = sub.add_parser("search", help="train a dense network and keep what draws need")
    _training_options(search)
    search.add_argument("--keep-ratios", type=float, nargs="*", default=[], help="ratios whose emergence is kept")
    search.add_argument(
        "--keep-epi", nargs="*", default=[], metavar="METHOD:RATIO", help="likewise, by the early pruning indicator"
    )
    _training_options(sub.add_parser("draw", help="take a mask from a search"))
    retrain = sub.add_parser("retrain", help="train a drawn ticket")
    _training_options(retrain)
    for command in (search, retrain):
        command.add_argument("--keep-epochs", type=int, nargs="*", default=[], help="epochs whose weights are kept")
    _training_options(sub.add_parser("sparse", help="train a sparse network from scratch"))

    for name, text in (("tabulate", "records to table"), ("plot", "table to figure"), ("compare", "tables to report")):
        command = sub.add_parser(name, help=text)
        if name != "compare":
            command.add_argument("item", help="experiment, for example fig1_existence")
        command.add_argument("--scale", required=True, help="smoke, quick or paper")
        command.add_argument("--results", default="results")
        command.add_argument("--config", action="append", default=[], help="overrides of the scale, KEY=VALUE (YAML)")
        if name == "plot":
            command.add_argument("--output", required=True, help="figure to write; .svg, .png or .pdf")

    plan = sub.add_parser("plan", help="what a scale would run, before anything runs")
    plan.add_argument("--scale", default="smoke")
    plan.add_argument("--results", default="results")
    plan.add_argument("--config", action="append", default=[])
    plan.add_argument("--runs", action="store_true", help="list every run with its spec")

    data = sub.add_parser("data", help="download or verify a dataset")
    data.add_argument("names", nargs="+", metavar="cifar10|cifar100|mnist")
    data.add_argument("--data", default=os.environ.get("EBREPLICATE_DATA", "data"))

    readme = sub.add_parser("readme", help="rewrite the generated table of README.md from the comparison")
    readme.add_argument("--results", default="results/evidence/cpu", help="results root to quote")
    readme.add_argument("--check", action="store_true", help="only say whether it is up to date")
    return top


def _stage(args: argparse.Namespace) -> None:
    """Run one training stage; a finished run is left alone."""
    from ebreplicate.plan import spec as specs
    from ebreplicate.plan.keep import Keep
    from ebreplicate.records import Store

    text = args.spec if args.spec.lstrip().startswith("{") else _read_text(args.spec)
    spec = specs.from_json(text)
    if spec.stage != args.command:
        raise UserError(f"spec.stage: {spec.stage!r} is not {args.command!r}")
    if args.threads < 1:
        raise UserError(f"--threads: must be at least 1, got {args.threads}")
    store = Store(args.results)
    store.check_writable()
    if store.read(spec) is not None:
        print(f"{specs.key(spec)}: already done", file=sys.stderr)
        return
    import torch

    from ebreplicate import stages
    from ebreplicate.training.device import slot, tune_allocator

    tune_allocator()
    torch.set_num_threads(args.threads)
    root = Path(args.data)
    if args.command == "draw":  # on the CPU: it takes no GPU from a training
        stages.draw(spec, store, root)
        return
    with slot(args.device) as device:
        if args.command == "search":
            keep = Keep(set(args.keep_epochs), set(args.keep_ratios), set(args.keep_epi))
            stages.search(spec, store, root, device, keep)
        elif args.command == "sparse":
            stages.sparse(spec, store, root, device)
        else:
            stages.retrain(spec, store, root, device, Keep(set(args.keep_epochs)))


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as e:
        raise UserError(f"spec: {path!r} is neither JSON nor a readable file ({e.strerror})") from None


def _evaluate(args: argparse.Namespace) -> None:
    from ebreplicate.report import pipeline

    scale = _scale(args)
    if args.command == "tabulate":
        pipeline.tabulate(args.item, scale, Path(args.results))
    elif args.command == "plot":
        pipeline.plot(args.item, scale, Path(args.results), Path(args.output))
    else:
        pipeline.compare(scale, Path(args.results))


def _scale(args: argparse.Namespace) -> Any:
    from ebreplicate.plan.scale import load_scale, parse_overrides

    return load_scale(args.scale, overrides=parse_overrides(args.config))


def _plan(args: argparse.Namespace) -> None:
    from ebreplicate.report.planning import describe, list_runs

    print((list_runs if args.runs else describe)(_scale(args), Path(args.results)))


def _data(args: argparse.Namespace) -> None:
    from ebreplicate.errors import unknown
    from ebreplicate.training import data

    for name in args.names:
        if name not in data.FILES:
            raise unknown("data", name, data.FILES)
        data.download(name, Path(args.data))
        print(f"{name}: verified in {args.data}")


def _readme(args: argparse.Namespace) -> None:
    from ebreplicate.report import readme

    readme.update(Path("README.md"), Path(args.results), check=args.check)


COMMANDS = {
    "search": _stage,
    "draw": _stage,
    "retrain": _stage,
    "sparse": _stage,
    "tabulate": _evaluate,
    "plot": _evaluate,
    "compare": _evaluate,
    "plan": _plan,
    "data": _data,
    "readme": _readme,
}


WARM = ("search", "draw", "retrain", "sparse", "tabulate", "plot", "compare")
"""Commands whose imports take longer than a small run."""


def main(argv: list[str] | None = None) -> int:
    """Run a command line; 0 on success, 2 with one line on stderr for bad input. A bug is a traceback."""
    args = parser().parse_args(argv)
    if args.command in WARM and warm.wanted():
        code = warm.run(sys.argv[1:] if argv is None else argv)
        if code is not None:
            return code
    try:
        COMMANDS[args.command](args)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
