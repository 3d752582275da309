"""Compares Jackfield's server with vLLM's and llama.cpp's on the same weights: latencies and tokens per second.

`python benchmarks/peers/compare.py --peers FOLDER [--folder MODEL] [--gguf FILE] [--output FILE]` prints JSON. Only one server
runs at a time, and `jackfield bench serve` sends the load with 1, 4 and 16 streams. README.md tells how to install the peers.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jackfield_bench.report import build, emit

CONTEXT = 1024  # largest number of tokens of a request, prompt and answer
READY_S = 1800.0  # vLLM compiles for minutes when it starts for the first time
# Room of vLLM's cache in GiB. OMP_NUM_THREADS sets its threads, as for all others, and no core is left out.
VLLM = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
FIGURES = {
    "ttft_p50_ms": ("ttft_ms", "p50"),
    "ttft_p99_ms": ("ttft_ms", "p99"),
    "itl_p50_ms": ("itl_ms", "p50"),
    "itl_p99_ms": ("itl_ms", "p99"),
}


def commands(arguments: argparse.Namespace, port: int) -> dict[str, list[str]]:
    """The commands that start the servers, by name; only those that are installed."""
    found: dict[str, list[str]] = {}
    rows, threads = str(max(arguments.streams)), str(arguments.threads)
    ours = [sys.executable, "-m", "jackfield.cli.main", "serve"]
    ours_rest = ["--port", str(port), "--max-num-seqs", rows, "--max-model-len", str(CONTEXT)]
    if arguments.folder:
        found["jackfield, safetensors"] = [*ours, arguments.folder, *ours_rest]
        found["vllm, safetensors"] = [
            f"{arguments.peers}/vllm/bin/vllm", "serve", arguments.folder, "--port", str(port),
            "--max-num-seqs", rows, "--max-model-len", str(CONTEXT),
        ]  # fmt: skip
    if arguments.gguf:
        found["jackfield, gguf"] = [*ours, arguments.gguf, *ours_rest]
        in_blocks = ["--set", "select.quantization=gguf_blocks"]  # as llama.cpp has them
        found["jackfield, gguf in blocks"] = [*found["jackfield, gguf"], *in_blocks]
        found["llama.cpp, gguf"] = [
            f"{arguments.peers}/llama_cpp/bin/python", str(Path(__file__).with_name("llama_cpp_server.py")),
            arguments.gguf, str(port), rows, threads, str(CONTEXT),
        ]  # fmt: skip
    return {
        name: words
        for name, words in found.items()
        if Path(words[0]).exists() and (arguments.only or "") in name
    }


@contextmanager
def running(words: Sequence[str], port: int, threads: int) -> Iterator[None]:
    """Run a server until the end of the block. Raises SystemExit with its log if it does not start."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), **VLLM}
    openmp = (
        Path(words[0]).parents[1] / "lib" / "libiomp5.so"
    )  # vLLM asks for it "for best performance"
    if openmp.exists():
        environment["LD_PRELOAD"] = str(openmp)
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment
        )
        try:
            end_s = time.monotonic() + READY_S
            while not _is_ready(port):
                if server.poll() is not None or time.monotonic() > end_s:
                    log.seek(0)
                    raise SystemExit(f"{words[0]} does not serve:\n{log.read()[-4000:]}")
                time.sleep(0.2)
            yield
        finally:
            server.terminate()
            server.wait(60)


def _is_ready(port: int) -> bool:
    ready = "/v1/models"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=2) as answer:
            return "data" in json.load(answer) and _completes(port)
    except (OSError, ValueError):
        return False


def _completes(port: int) -> bool:
    """True if the server answers with a token: some servers list their models before these are loaded."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2) as answer:
        name = json.load(answer)["data"][0]["id"]
    body = json.dumps({"model": name, "prompt": "one", "max_tokens": 1}).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return answer.status == 200


def measured(arguments: argparse.Namespace, port: int, streams: int, seed: int) -> dict[str, float]:
    """The report of one run of `jackfield bench serve` with so many streams."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        subprocess.run(
            [
                sys.executable, "-m", "jackfield.cli.main", "bench", "serve", "--url", f"http://127.0.0.1:{port}",
                "--num-prompts", str(arguments.per_stream * streams), "--max-concurrency", str(streams),
                "--input-len", str(arguments.input_len), "--output-len", str(arguments.output_len),
                "--warmups", str(streams), "--seed", str(seed), "--temperature", "0", "--timeout", "1800", "--output", str(file),
            ],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        run: dict[str, Any] = json.loads(file.read_text())["figures"]["runs"][0]
    if run["failed"]:
        raise SystemExit(f"{run['failed']} requests failed")
    figures = {name: float(run[group][part]) for name, (group, part) in FIGURES.items()}
    return {**figures, "output_tokens_per_s": float(run["output_tokens_per_s"])}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each figure the median of all rounds."""
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def main() -> None:
    """Measure in rounds. The report has the median of each figure for each number of streams, and all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="made by install.sh")
    parser.add_argument("--folder", help="the model with safetensors")
    parser.add_argument("--gguf", help="the model as GGUF")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--per-stream", type=int, default=4, help="requests of each stream")
    parser.add_argument("--input-len", type=int, default=128)
    parser.add_argument("--output-len", type=int, default=128)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", help="servers whose name contains this word")
    parser.add_argument("--output")
    arguments = parser.parse_args()
    port = _free_port()
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for number in range(arguments.rounds):
        for name, words in commands(arguments, port).items():
            began_s = time.monotonic()
            with running(words, port, arguments.threads):
                sys.stderr.write(f"{name}: answers after {time.monotonic() - began_s:.0f} s\n")
                for streams in arguments.streams:
                    one = measured(arguments, port, streams, number)
                    found.setdefault(name, {}).setdefault(f"{streams} streams", []).append(one)
                    sys.stderr.write(f"{name}, {streams} streams: {one}\n")
    figures = {
        name: {
            streams: {"median": medians(rounds), "rounds": rounds}
            for streams, rounds in by_streams.items()
        }
        for name, by_streams in found.items()
    }
    settings = {name: str(value) for name, value in vars(arguments).items()}
    emit(build("peers", settings, figures), arguments.output)


if __name__ == "__main__":
    main()
