"""What a fresh machine meets: requirements, pins, package contents, the README's commands, and how CI runs them."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("streamer", "model", "clients")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"].values()
    return [Requirement(line) for line in [*project()["dependencies"], *(line for extra in extras for line in extra)]]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_to_a_version_it_allows(requirement):
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_constraints_hold_nothing_but_pins():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
    assert lines == sorted(lines, key=str.lower)


def test_every_import_of_the_program_is_a_declared_requirement():
    modules = {
        "huggingface_hub": "huggingface-hub",
        "prometheus_client": "prometheus-client",
        "python_multipart": "python-multipart",
        "webrtcvad": "webrtcvad-wheels",
        "whisper_normalizer": "whisper-normalizer",
    }
    declared = {Requirement(line).name for line in project()["dependencies"]}
    imported = set()
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if (ROOT / "model" / "demo") in file.parents:
                continue  # training, not the program
            imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), re.MULTILINE))
    foreign = imported - sys.stdlib_module_names - set(PACKAGES) - {"__future__"}

    assert {modules.get(name, name) for name in foreign} - declared == set()


def test_every_folder_with_code_is_a_package_and_is_installed():
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_package_is_typed():
    assert [package for package in PACKAGES if not (ROOT / package / "py.typed").exists()] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> ZipFile:
    """What `pip install .` would install, built from a copy of the tree."""
    pytest.importorskip("setuptools", minversion="77", reason="the build backend is not installed here")
    folder = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    code = "import setuptools.build_meta as backend; print(backend.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ZipFile(folder / done.stdout.split()[-1])


def test_the_wheel_holds_every_file_of_every_package(wheel):
    files = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    assert files - set(wheel.namelist()) == set()


def test_the_demo_model_is_whole(wheel):
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "LICENSE", "README.md"}

    assert {f"model/demo/{name}" for name in names} <= set(wheel.namelist())


def test_every_licence_file_exists():
    assert [name for name in project()["license-files"] if not (ROOT / name).is_file()] == []


def test_the_command_leads_to_a_function():
    module, _, name = project()["scripts"]["streamer"].partition(":")

    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(
    "module", ["streamer.core.session", "streamer.server", "streamer.protocols", "clients.connection"]
)
def test_what_needs_no_model_imports_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_command_in_the_readme_exists():
    used = set(re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text()))

    assert {"run", "test"} <= used <= make_targets()


def test_every_file_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text())

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def run_ci(tmp_path: Path, make: str) -> tuple[int, list[str]]:
    """Run .ci/run with this stand-in for make and no package manager in sight; return its status and what it made."""
    log = tmp_path / "made"
    for tool in ("bash", "dirname", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    fake = tmp_path / "make"
    fake.write_text(f'#!{shutil.which("bash")}\necho "$@" >> "{log}"\n{make}\n')
    fake.chmod(0o755)
    environment = os.environ | {"PATH": str(tmp_path), "CI": "true"}
    done = subprocess.run(["bash", ".ci/run"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, log.read_text().split()


def test_ci_sets_up_clients_runs_the_tests_and_then_the_checks(tmp_path):
    assert run_ci(tmp_path, "exit 0") == (0, ["clients", "test", "check"])


def test_ci_goes_on_without_clients_that_cannot_be_set_up(tmp_path):
    assert run_ci(tmp_path, 'if [ "$1" = clients ]; then exit 2; fi') == (0, ["clients", "test", "check"])


def test_ci_fails_when_the_tests_fail(tmp_path):
    assert run_ci(tmp_path, "exit 3") == (3, ["clients", "test"])


def test_ci_fails_when_the_checks_fail(tmp_path):
    assert run_ci(tmp_path, 'if [ "$1" = check ]; then exit 2; fi') == (2, ["clients", "test", "check"])
