"""The shape of the house: who may import whom, and which modules may touch the world outside."""

from __future__ import annotations

import ast
import graphlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Imports run one way: grammar ← signals ← engine ← replay. The policies are data.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "grammar": frozenset({"grammar"}),
    "signals": frozenset({"grammar", "signals"}),
    "engine": frozenset({"grammar", "signals", "engine"}),
    "replay": frozenset({"grammar", "signals", "engine", "replay"}),
    "policies": frozenset(),
}


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What reaches network, other processes or machine code.
NETWORK_AND_PROCESSES = words(
    """
    _socket asyncio asyncore concurrent ctypes dbm fcntl ftplib http imaplib mmap multiprocessing nntplib
    poplib posix pty select selectors shelve smtplib socket socketserver ssl subprocess telnetlib termios
    urllib.error urllib.request urllib.robotparser urllib.response webbrowser wsgiref xmlrpc
    aiohttp httptools httpx redis requests
    """
)

# What reaches files, the environment, the clock, or Python itself.
FILES_AND_CLOCK = words(
    """
    builtins code fileinput glob importlib io linecache mmap os pathlib pdb pickle pkgutil runpy shutil
    signal sqlite3 sys tempfile time zipfile
    """
)
BUILTINS = words("__import__ breakpoint compile eval exec input open print")
CLOCK_READERS = words("now today utcnow")

# Pure parts of what is listed above.
PURE = ("importlib.resources", "importlib.metadata", "urllib.parse")

# The modules that may reach network, processes or threads, each with all that it reaches of them. The
# client of remote models does, and nothing else.
REACH_NETWORK: dict[str, str] = {
    "engine.asking": "asyncio",  # a loop of its own, for what decides one event after another
    "engine.children": "asyncio",
    "engine.cli_serve": "asyncio",
    "engine.engine": "asyncio",  # decisions that wait for others are futures of the event loop
    "engine.filling": "asyncio",
    "engine.health": "asyncio",  # looks once a second at what turned
    "engine.http_body": "asyncio",  # a slow body is cancelled
    "engine.http_bulk": "asyncio",
    "engine.http_change": "asyncio",  # dead letters are on disk, and read in a thread
    "engine.http_decide": "asyncio",
    "engine.http_direct": "asyncio",
    "engine.http_guard": "httptools",  # reads on after a request that asks for another protocol
    "engine.http_pressure": "asyncio",  # how late the event loop is
    "engine.http_read": "asyncio",
    "engine.http_run": "asyncio socket",
    "engine.http_server": "asyncio socket ssl",  # listens
    "engine.http_stream": "asyncio",
    "engine.journal": "asyncio",
    "engine.journal_keeper": "subprocess",
    "engine.journal_sync": "asyncio",
    "engine.journal_writer": "fcntl",
    "engine.keys": "fcntl",  # one process changes the keys at a time
    "engine.live_routes": "asyncio",  # a long search lets others pass
    "engine.lock": "fcntl",
    "engine.metrics_process": "asyncio",  # how late the event loop is
    "engine.once": "asyncio",
    "engine.outbox": "asyncio",  # what leaves does so beside the requests
    "engine.outbox_store": "asyncio",
    "engine.outbox_thread": "asyncio",  # a thread for what blocks
    "engine.outbox_work": "asyncio",
    "engine.pending": "asyncio",  # and so is what each of them waits for
    "engine.reload": "asyncio",  # waits for the check, for a thread, and for the engine
    "engine.reload_process": "asyncio",  # bundles are checked in a process of their own
    "engine.reload_settle": "asyncio",  # waits until a folder is quiet
    "engine.reload_start": "asyncio",
    "engine.service": "asyncio",  # answers that wait for the disk, and events at the gate
    "engine.service_keeping": "asyncio",
    "engine.serving": "asyncio",
    "engine.serving_parts": "asyncio",
    "engine.sink_file": "asyncio",
    "engine.sink_webhook": "asyncio socket ssl",  # looks names up, and connects to what it found
    "engine.snapshots": "asyncio",
    "engine.tracing": "asyncio",  # what waits is put on its span once it is made
    "engine.watch": "asyncio",  # told of changes while events go on
    "replay.revisions": "subprocess",  # git, for policies as they were
    "signals.models_lightgbm": "ctypes",  # the library's fast call for one row, and its buffer
    "signals.remote": "asyncio",  # the event loop: nothing is opened here
    "signals.remote_connection": "asyncio httptools",  # one connection
    "signals.remote_functions": "asyncio concurrent",  # functions that may block run in threads
    "signals.remote_http": "asyncio ssl",  # opens them
    "signals.remote_lane": "asyncio",
    "signals.remote_pool": "asyncio",  # keeps them
}

# The modules that may, each with all that it reaches. Every other module is pure: the same values in,
# the same values out. A word more or less than the module uses fails.
REACH: dict[str, str] = {
    "engine.__init__": "importlib",  # public names are imported when first asked for
    "engine.bundle": "pathlib",  # reads a bundle's folder
    "engine.checkpoint": "os pathlib sys time",
    "engine.children": "os sys",
    "engine.cli_decide": "pathlib",  # the command line is a shell, from here on
    "engine.cli_explain": "pathlib",
    "engine.cli_files": "os pathlib sys tempfile",  # writes a file whole or not at all
    "engine.cli_fmt": "pathlib",
    "engine.cli_graph": "pathlib",
    "engine.cli_group": "io os pathlib sys",  # pipes, interrupts and defects end in one line
    "engine.cli_init": "pathlib",
    "engine.cli_journal": "pathlib",
    "engine.cli_keys": "pathlib",
    "engine.cli_outbox": "pathlib",
    "engine.cli_output": "sys time",  # progress for what takes longer than a second
    "engine.cli_serve": "os pathlib",
    "engine.cli_state": "pathlib",
    "engine.cli_versions": "pathlib",
    "engine.compile": "eval",  # a leaf's reader is generated
    "engine.engine": "pathlib",  # opens a bundle for a service
    "engine.event_code": "compile exec",  # the decoder of an event type is generated
    "engine.event_match": "eval",  # so is what tells event types apart
    "engine.explain_past": "pathlib sys",
    "engine.fill": "pathlib sys time",
    "engine.filling": "os",
    "engine.health": "time",  # how long something was wrong
    "engine.http_change": "time",  # a label by hand is of now, unless it says otherwise
    "engine.http_run": "signal",
    "engine.interrupts": "signal",  # cleaning up is not cut short
    "engine.journal": "pathlib",
    "engine.journal_chain": "pathlib",
    "engine.journal_find": "pathlib",
    "engine.journal_format": "os pathlib",
    "engine.journal_keeper": "sys time",
    "engine.journal_open": "os pathlib",
    "engine.journal_pack": "os pathlib sys",
    "engine.journal_packed": "pathlib",
    "engine.journal_read": "pathlib",
    "engine.journal_records": "os pathlib",
    "engine.journal_stats": "pathlib",
    "engine.journal_sync": "time",
    "engine.journal_verify": "pathlib",
    "engine.journal_writer": "os pathlib time",
    "engine.keys": "os pathlib time",  # keys are in a file, and expire
    "engine.link": "compile exec",  # and the function that decides
    "engine.live_events": "eval",  # a leaf's reader is generated
    "engine.live_recall": "pathlib sys",  # a process that reads the journal
    "engine.lock": "os pathlib time",
    "engine.logs": "os sys",  # the log is standard error, and NO_COLOR is heeded
    "engine.logs_thin": "time",  # repeated messages are thinned by the clock
    "engine.metrics": "time",  # what was asked lately is answered with what was made
    "engine.metrics_process": "time",  # how long collections of garbage take
    "engine.outbox": "pathlib time",  # how long a send has waited is a matter of the server's clock
    "engine.outbox_acks": "os pathlib",  # what is settled, on disk
    "engine.outbox_dead": "pathlib sqlite3",  # what was given up
    "engine.outbox_look": "pathlib",  # and so does this
    "engine.outbox_reading": "pathlib",  # names the journal
    "engine.outbox_store": "pathlib",
    "engine.plain_files": "io os pathlib",
    "engine.reload": "pathlib time",  # how long it took
    "engine.reload_check": "os pathlib sys",  # a process of its own
    "engine.reload_compile": "pathlib sys",  # lets the thread of the event loop have its turns
    "engine.reload_files": "os pathlib",  # what lies in a bundle's folder
    "engine.reload_freeze": "os pathlib shutil time",  # copies it
    "engine.reload_history": "os pathlib",
    "engine.reload_process": "pathlib signal sys",  # runs the same Python
    "engine.reload_requests": "os pathlib time",  # what other processes ask of the server
    "engine.reload_settle": "pathlib time",  # how long it has been quiet
    "engine.reload_start": "pathlib time",
    "engine.remake": "pathlib",
    "engine.service": "time",  # says how long it took, and what is dated too far ahead
    "engine.service_settings": "pathlib",  # reads service.toml
    "engine.serving": "pathlib time",
    "engine.sink_file": "os pathlib",  # appends to the operator's file
    "engine.sink_webhook": "os time",  # signatures hold the time
    "engine.sinks": "pathlib",
    "engine.snapshot": "os pathlib",  # what an engine remembers, in a file that is whole or not there
    "engine.snapshots": "time",
    "engine.source_journal": "pathlib",
    "engine.source_streams": "io os pathlib",  # histories are files or standard input
    "engine.source_tables": "io",
    "engine.sources": "pathlib sys",
    "engine.stepper": "pathlib",  # opens a bundle for a service
    "engine.versions": "pathlib shutil time",  # every version's files, and when it went live
    "engine.watch": "pathlib time",
    "replay.__init__": "importlib",  # public names are imported when first asked for
    "replay.backtest_report": "pathlib",  # names files
    "replay.cli": "sys",
    "replay.cli_compare": "pathlib",
    "replay.cli_demo": "pathlib tempfile",
    "replay.cli_features": "pathlib",
    "replay.cli_replay": "pathlib",
    "replay.cli_train": "pathlib",
    "replay.cli_tune": "pathlib time",  # says how long it took
    "replay.compare_run": "pathlib",  # names files
    "replay.database": "shutil tempfile",  # a replay works in a folder of its own
    "replay.demo": "time",  # says how long the day took
    "replay.demo_change": "pathlib",  # the day's first events, to replay
    "replay.history_files": "glob pathlib",  # finds them
    "replay.history_ingest": "pathlib",  # asks how large files are
    "replay.history_reading": "eval",  # what makes a row of an event is generated
    "replay.history_sources": "pathlib",  # opens them
    "replay.interrupt": "os signal sys time",  # Ctrl-C stops a query
    "replay.labels": "pathlib",  # whether labels are a file
    "replay.library": "pathlib",  # names files
    "replay.library_compare": "pathlib",  # names files
    "replay.page": "pathlib",  # writes the page of a report
    "replay.revisions": "os pathlib shutil tempfile",  # takes policies out of git, into a folder of its own
    "replay.run": "pathlib time",  # says how long it took
    "replay.sql_python": "eval exec",  # generated functions over batches
    "signals.remote": "os",  # secrets for remote models come from the environment
}


class Import(NamedTuple):
    module: str  # the importing module, as in "engine.graph"
    line: int
    target: str  # dotted, as in "quell.grammar.tree" or "os.path"
    level: int  # how many dots a relative import begins with
    at_load: bool  # neither inside a function nor for type checkers only

    def __str__(self) -> str:
        return f"{self.module.replace('.', '/')}.py:{self.line} imports {'.' * self.level}{self.target}"


def module_name(file: Path) -> str:
    relative = file.relative_to(ROOT)
    return f"{relative.parent.as_posix()}.{relative.stem}"


MODULES: dict[str, ast.Module] = {
    module_name(file): ast.parse(file.read_bytes(), filename=str(file))
    for folder in MAY_IMPORT
    for file in sorted((ROOT / folder).glob("*.py"))
}


def imports_of(name: str, tree: ast.AST, at_load: bool = True) -> Iterator[Import]:
    """Every import in the module, inside functions and TYPE_CHECKING blocks too. `from a import b`
    has the target a.b, whether b is a module or a name in one."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, node.lineno, alias.name, 0, at_load)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                target = f"{node.module or ''}.{alias.name}".strip(".")
                yield Import(name, node.lineno, target, node.level, at_load)
        else:
            yield from imports_of(name, node, at_load and not waits(node))


def waits(node: ast.AST) -> bool:
    """Whether loading the module leaves what the node holds for later, or for good."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


IMPORTS: tuple[Import, ...] = tuple(i for name, tree in MODULES.items() for i in imports_of(name, tree))


def own_folder(target: str) -> str | None:
    """The folder that "quell.engine.graph" lies in, or None for what is not ours."""
    parts = target.split(".")
    return (parts[1] if len(parts) > 1 else "") if parts[0] == "quell" else None


def own_module(target: str) -> str | None:
    """The module that "quell.engine.graph.Graph" is found in, as in "engine.graph"."""
    parts = target.split(".")
    if parts[0] != "quell" or len(parts) < 2:
        return None
    name = ".".join(parts[1:3])
    return name if name in MODULES else f"{parts[1]}.__init__"


def within(target: str, names: frozenset[str]) -> bool:
    """Whether the dotted target is one of the names or lies inside one."""
    parts = target.split(".")
    return any(".".join(parts[:n]) in names for n in range(1, len(parts) + 1))


def reach(name: str, tree: ast.Module) -> set[str]:
    """What the module has of FILES_AND_CLOCK, BUILTINS and, for CLOCK_READERS, the word "clock"."""
    found = {
        made.target.split(".")[0]
        for made in imports_of(name, tree)
        if within(made.target, FILES_AND_CLOCK) and not made.target.startswith(PURE)
    }
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        if isinstance(call.func, ast.Name) and call.func.id in BUILTINS:
            found.add(call.func.id)
        elif isinstance(call.func, ast.Attribute) and call.func.attr in CLOCK_READERS:
            of = call.func.value
            if isinstance(of, ast.Name) and of.id in {"datetime", "date"}:
                found.add("clock")
    return found


def test_every_folder_is_read() -> None:
    """The tests below say nothing about a folder they did not find."""
    found = {name.split(".")[0] for name in MODULES}
    assert found == set(MAY_IMPORT)
    assert all(f"{folder}.__init__" in MODULES for folder in MAY_IMPORT)


def test_imports_run_one_way() -> None:
    wrong = [
        str(i)
        for i in IMPORTS
        if (folder := own_folder(i.target)) is not None and folder not in MAY_IMPORT[i.module.split(".")[0]]
    ]
    assert not wrong, "\n".join(wrong)


def test_policies_import_nothing() -> None:
    wrong = [str(i) for i in IMPORTS if i.module.split(".")[0] == "policies"]
    assert not wrong, "\n".join(wrong)


def test_imports_are_absolute_and_under_quell() -> None:
    wrong = [str(i) for i in IMPORTS if i.level or i.target.split(".")[0] in MAY_IMPORT]
    assert not wrong, "\n".join(wrong)


def test_imports_run_in_no_circle() -> None:
    """A circle of imports at load works from one entry point and fails from another."""
    needs: dict[str, set[str]] = {name: set() for name in MODULES}
    for made in IMPORTS:
        found = own_module(made.target)
        if made.at_load and found is not None and found != made.module:
            needs[made.module].add(found)
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " ← ".join(error.args[1]))


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_folders_are_flat_and_typed(folder: str) -> None:
    """A sub-package would be missing from the wheel without a word."""
    here = ROOT / folder
    nested = [str(f.relative_to(ROOT)) for f in here.rglob("*.py") if f.parent != here]
    assert not nested
    assert (here / "py.typed").read_bytes() == b""


@pytest.mark.skipif(
    not (ROOT / ".types").exists(), reason="the links for type checkers come with a clone only"
)
def test_type_checkers_have_a_link_to_every_folder() -> None:
    links = {link.name: link.readlink().as_posix() for link in (ROOT / ".types" / "quell").iterdir()}
    assert links == {folder: f"../../{folder}" for folder in MAY_IMPORT}


def test_only_the_modules_named_here_reach_network_processes_or_machine_code() -> None:
    found: dict[str, set[str]] = {}
    for made in IMPORTS:
        if within(made.target, NETWORK_AND_PROCESSES):
            found.setdefault(made.module, set()).add(made.target.split(".")[0])
    assert {name: " ".join(sorted(used)) for name, used in found.items()} == REACH_NETWORK


def test_only_the_modules_named_here_reach_files_environment_or_clock() -> None:
    found = {name: " ".join(sorted(reach(name, tree))) for name, tree in MODULES.items()}
    assert {name: used for name, used in found.items() if used} == REACH


@pytest.mark.parametrize("package", ["engine", "replay"])
def test_no_public_name_is_a_modules_name(package: str) -> None:
    """A module that is imported takes its name in the package, and would hide what is made when asked for."""
    modules = {path.stem for path in (ROOT / package).glob("*.py")}
    assert not modules & set(importlib.import_module(f"quell.{package}").__all__)
