"""How long `jackfield serve` takes until requests are taken, and the processor time that both processes use for it.

`python benchmarks/server_ready.py [MODEL ...] [--repeats 5] [--output FILE]` prints JSON; words behind the model go to serve.
The first start, which fills the caches of the disk, is not counted.
"""

import argparse

from server_process import processor_s, server_process

from jackfield_bench.report import build, emit, summarise


def main() -> None:
    """Start the server again and again."""
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
