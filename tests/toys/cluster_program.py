"""Runs many small steps on a Dask scheduler: ``cluster_program.py STORE ADDRESS``. Tests take things away from it."""

import sys

import engine_toys

from pipelines.cli.terminal import errors_as_sentences
from pipelines.engine import Node, Plan, run_plan
from pipelines.engine.cluster import DaskExecutor
from storage import RunExists, open_store

PLAN = Plan([Node(f"draw/{seed}", "toy-draw", {"seed": seed, "n": 3}) for seed in range(60)])


def main(store_url, address):
    store = open_store(store_url)
    try:
        run = engine_toys.make_run(store, PLAN)
    except RunExists:
        run = store.run("toy")
    with errors_as_sentences():
        outcome = run_plan(PLAN, store, run, executor=DaskExecutor(scheduler=address))
    sys.stdout.write(f"{outcome.status} {outcome.n_computed} {outcome.n_reused}\n")
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    import typer

    try:
        main(*sys.argv[1:])
    except typer.Exit as end:
        sys.exit(end.exit_code)
