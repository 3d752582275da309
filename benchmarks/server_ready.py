"""Measures how long `jackfield serve` takes until it accepts requests, and the processor time of both processes until then.

`python benchmarks/server_ready.py [MODEL ...] [--repeats 5] [--output FILE]` prints JSON. Words after the model are passed to
`serve`. The first start is not counted, because it fills the disk cache.
"""

import argparse

from server_process import processor_s, server_process

from jackfield_bench.report import build, emit, summarise


def main() -> None:
    """Start the server several times and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output")
    parser.add_argument("model", nargs="*", default=["smollm2"])
    arguments, rest = parser.parse_known_args()
    rows = []
    for _ in range(arguments.repeats + 1):
        with server_process([*arguments.model, *rest]) as server:
            rows.append((server.ready_s, *map(processor_s, server.pids)))
    names = ("ready_s", "server_process_s", "engine_process_s")
    columns = zip(*rows[1:], strict=True)
    figures = {name: summarise(column) for name, column in zip(names, columns, strict=True)}
    emit(build("server_ready", vars(arguments), figures), arguments.output)


if __name__ == "__main__":
    main()
