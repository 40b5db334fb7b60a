"""What is shipped is what is tracked: the wheel, built through the sdist, against `git ls-files`."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("engine", "grammar", "policies", "replay", "signals")

# Distributions whose data or algorithm decides answers: exact pins (pyproject.toml says why).
DECIDES_ANSWERS = {
    "confusable-homoglyphs",
    "disposable-email-domains",
    "emoji",
    "google-re2",
    "publicsuffixlist",
    "rapidfuzz",
    "tzdata",
    "unicodedata2",
}


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["project"]
    return table


def requirements(extra: str | None = None) -> dict[str, str]:
    """Distribution to version condition, as in {"lark": ">=1.3.1"}, of what is needed or of an extra."""
    lines = project()["dependencies"] if extra is None else project()["optional-dependencies"][extra]
    split = [re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", line) for line in lines]
    return {canonical(found[1]): found[2] for found in split if found is not None}


def canonical(name: str) -> str:
    """A distribution's name as the package index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files git tracks, and new ones it would track, relative to the root, sorted."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed, so there is no list of tracked files to compare with")
    here = [git, "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    top = subprocess.run([*here, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if top.returncode != 0 or Path(top.stdout.strip()).resolve() != ROOT:
        pytest.skip("this tree is not a git repository, so there is no list of tracked files to compare with")
    asked = [*here, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def built(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel built from it, out of a copy that holds the tracked files only."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@pytest.mark.slow
def test_the_wheel_holds_the_tracked_files_of_the_five_folders(
    tracked: list[str], built: tuple[Path, Path]
) -> None:
    expected = {f"quell/{name}" for name in tracked if name.split("/")[0] in FOLDERS}
    assert len(expected) > len(FOLDERS)
    with zipfile.ZipFile(built[1]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sorted(expected - held) == [], "tracked and not in the wheel: see package-data in pyproject.toml"
    assert sorted(held - expected) == [], "in the wheel and not tracked"


@pytest.mark.slow
def test_the_wheel_says_what_it_is(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        text = {PurePosixPath(n).name: wheel.read(n).decode() for n in wheel.namelist() if ".dist-info/" in n}
    assert "quell = quell.replay.cli:main" in text["entry_points.txt"]
    assert text["LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "License-Expression: Apache-2.0" in text["METADATA"]
    assert "Requires-Python: >=3.11" in text["METADATA"]
    assert "Root-Is-Purelib: true" in text["WHEEL"]


@pytest.mark.slow
def test_the_sdist_holds_all_that_building_and_testing_need(
    tracked: list[str], built: tuple[Path, Path]
) -> None:
    """All tracked files, but for those that serve a clone: names with a leading dot."""
    expected = {name for name in tracked if not name.startswith(".")}
    with tarfile.open(built[0]) as sdist:
        held = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    assert sorted(expected - held) == [], "tracked and not in the sdist: see MANIFEST.in"
    made = {name for name in held if name in {"PKG-INFO", "setup.cfg"} or name.startswith("quell.egg-info/")}
    assert sorted(held - expected - made) == [], "in the sdist and not tracked"


def test_what_decides_answers_is_pinned_exactly() -> None:
    exact = {name for name, condition in requirements().items() if condition.startswith("==")}
    assert exact == DECIDES_ANSWERS


def test_dependencies_are_what_the_code_imports() -> None:
    """Nothing is imported that installing Quell would not bring, and nothing is brought for nothing."""
    declared = set(requirements())
    extra = set(requirements("onnx")) | set(requirements("otel"))
    used: set[str] = set()
    homes = packages_distributions()
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).glob("*.py")):
            for top in imported(ast.parse(file.read_bytes(), filename=str(file))):
                found = {canonical(home) for home in homes.get(top, [top])}
                used |= (found & (declared | extra)) or found  # several share the name opentelemetry
    assert sorted(used - declared - extra) == [], "imported and not among the dependencies"
    assert sorted((declared | extra) - used) == [], "among the dependencies and not imported"


def imported(tree: ast.Module) -> set[str]:
    """The top-level names, none of them ours or Python's, that a module imports or, for a package of
    data, reads through `files("name")`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "files":
            names |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"quell"}
