"""Runs llama.cpp's own server from the wheel of xllamacpp: `python llama_cpp_server.py FILE.gguf PORT SLOTS THREADS CONTEXT`.

It needs the environment that `install.sh` makes, and runs until its standard input is closed.
"""

import sys

import xllamacpp


def main() -> None:
    """Serve one model with SLOTS slots of CONTEXT tokens each."""
    path, port, slots, threads, context = sys.argv[1], *map(int, sys.argv[2:])
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = slots * context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cont_batching = True
    params.warmup = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
