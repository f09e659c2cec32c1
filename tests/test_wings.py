"""The order of the wings, and the heavy packages that a wing does without (README.md).

The sources show every import, those inside functions too; fresh processes show what an import
brings with it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from conftest import ROOT

import movie_genres

PACKAGE = ROOT / "movie_genres"
COMMANDS = {path.stem for path in ROOT.glob("*.py")}
HEAVY: dict[str, set[str]] = {
    "genres": {"torch"},
    "reading": {"torch"},
    "texts": {"torch"},
    "preparation": {"torch"},
    "model": set(),
    "decisions": {"torch", "transformers"},
    "posters": {"transformers.trainer"},
    "inference": {
        "sklearn",
        "datasets",
        "matplotlib",
        "transformers.trainer",
        "movie_genres.posters",
    },
    "evaluation": set(),
    "training": set(),
    "hub": set(),
}
"""From the lowest wing to the highest: the packages that it, and all it imports, does without."""
WINGS = tuple(HEAVY)
PROCESSES = (
    ("genres", "reading", "texts", "preparation", "decisions", "posters"),
    ("model",),
    ("inference", "evaluation", "training", "hub"),
)
"""Wings that are imported one after the other in one process; all that it imported is looked at
after each. A wing that does without a package comes before those that may bring it."""
READS_A_CONFIG = "movie_genres.decisions.stored"
"""The one module of `decisions` that knows models; `inference` imports it."""
IMPORT_IN_ORDER = """
import importlib, sys
for modules in {groups}:
    for module in modules:
        importlib.import_module(module)
    print(*sys.modules, sep=",")
"""
"""Prints a line of what has been imported after each group of modules."""


def wing_of(module: str) -> str | None:
    """The wing of a module; None for the ground and the package itself."""
    name, _, rest = module.partition(".")
    first = rest.split(".")[0]
    return first if name == PACKAGE.name and first in WINGS else None


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_of(wing: str) -> list[str]:
    return sorted(map(module_name, (PACKAGE / wing).glob("*.py")))


def imports_of(path: Path) -> Iterator[str]:
    """All modules that a source imports; of `from a import b`, a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_or_is_in(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/*.py")), ids=module_name)
def test_a_module_imports_only_wings_up_to_its_own_and_no_command(path: Path) -> None:
    allowed = WINGS[: WINGS.index(path.parent.name) + 1]
    imported = set(imports_of(path))
    assert [name for name in imported if wing_of(name) not in (None, *allowed)] == []
    assert [name for name in imported if name.split(".")[0] in COMMANDS] == []
    # The names of the package are for its users: they would hide which wing is imported.
    assert imported & {f"{PACKAGE.name}.{name}" for name in movie_genres.__all__} == set()


def test_the_modules_of_the_ground_import_no_wing_and_no_command() -> None:
    ground = set(PACKAGE.glob("*.py")) - {PACKAGE / "__init__.py"}
    assert {"errors", "files", "signals"} <= {path.stem for path in ground}
    imported = {(path.stem, name) for path in ground for name in imports_of(path)}
    assert {(stem, name) for stem, name in imported if wing_of(name)} == set()
    assert {(stem, name) for stem, name in imported if name.split(".")[0] in COMMANDS} == set()


def test_every_folder_of_the_package_is_a_wing() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/*.py")} == set(WINGS)


def start(wings: Sequence[str]) -> subprocess.Popen[str]:
    """A process that imports all modules of each wing."""
    groups = [[name for name in modules_of(wing) if name != READS_A_CONFIG] for wing in wings]
    return subprocess.Popen(
        [sys.executable, "-c", IMPORT_IN_ORDER.format(groups=groups)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_importing_a_wing_imports_no_wing_above_it_and_not_what_it_does_without() -> None:
    assert sorted(wing for wings in PROCESSES for wing in wings) == sorted(WINGS)
    for wings, process in [(wings, start(wings)) for wings in PROCESSES]:
        lines = process.communicate()[0].splitlines()
        assert process.returncode == 0
        for wing, line in zip(wings, lines, strict=True):
            imported = line.split(",")
            assert f"{PACKAGE.name}.{wing}" in imported
            above = WINGS[WINGS.index(wing) + 1 :]
            assert [m for m in imported if wing_of(m) in above or m in COMMANDS] == [], wing
            assert [m for m in imported if is_or_is_in(m, HEAVY[wing])] == [], wing


def test_importing_the_package_imports_nothing_else_until_a_name_is_used() -> None:
    program = """
import sys
before = set(sys.modules)
import movie_genres
new = {name.split(".")[0] for name in set(sys.modules) - before}
assert new - sys.stdlib_module_names == {"movie_genres"}, new
assert not [name for name in sys.modules if name.startswith("movie_genres.")]
assert {"GenreClassifier", "load_prepared"} <= set(dir(movie_genres))
from movie_genres import InputError
assert issubclass(InputError, Exception)
assert "movie_genres.inference" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_every_public_name_of_the_package_is_there_and_no_other() -> None:
    assert set(movie_genres.__all__) == set(movie_genres._MODULES)
    for name in movie_genres.__all__:
        assert getattr(movie_genres, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Classifier'"):
        _ = movie_genres.Classifier
