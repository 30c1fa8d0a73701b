"""Runs the wide plan as a program: ``engine_program.py STORE serial|dask``. Tests stop it."""

import signal
import sys

import engine_toys

from pipelines.engine import SerialExecutor, run_plan
from pipelines.engine.cluster import DaskExecutor
from storage import open_store


def main(store_url, executor):
    # A shell's background job starts with Ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    store = open_store(store_url)
    plan = engine_toys.wide_plan()
    run = engine_toys.make_run(store, plan)
    chosen = SerialExecutor() if executor == "serial" else DaskExecutor(workers=2)
    outcome = run_plan(plan, store, run, executor=chosen)
    sys.stdout.write(f"{outcome.status} {outcome.n_computed} {outcome.n_reused}\n")
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
