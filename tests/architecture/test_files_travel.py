"""What is tracked means the same on every machine."""

import re
import subprocess
from pathlib import Path

MACHINE_PATH = re.compile(
    r"(?<![\w.})\]])(?:/(?:home|root|tmp|work)|[A-Z]:\\Users)[/\\]\w"
)
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org")


def test_no_file_names_a_place_on_one_machine(root: Path) -> None:
    assert not lines_with(MACHINE_PATH, root)


def test_no_file_names_the_host_of_a_package_registry(root: Path) -> None:
    assert not lines_with(REGISTRY, root)


def test_the_package_says_that_it_is_typed(root: Path) -> None:
    assert (root / "langchain_budget" / "py.typed").is_file()


def lines_with(pattern: re.Pattern[str], root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{number}: {line}"
        for path in tracked(root)
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]


def tracked(root: Path) -> list[Path]:
    """List what git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = [root / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
