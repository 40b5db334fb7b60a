"""The page of functions: what `quell functions --markdown` prints, with a runnable case for each form.

    python -m tests.language_functions

writes tests/language/functions.md anew; a test compares the two.
"""

from __future__ import annotations

from click.testing import CliRunner

from quell.engine.cli_reference import functions
from quell.signals.functions import REGISTRY
from tests.language_cases import FOLDER

PAGE = FOLDER / "functions.md"
INTRO = """# Functions

<!-- Written by `python -m tests.language_functions` from the registry: change that, not this page. -->

Every function of the language, by group. Of something missing a function is missing, unless its text says
otherwise. A function of one argument that says what something *has* may be written behind a dot:
`link.domain` is `domain(link)`, and of a list it gives the list of the answers. What is written in capitals
stands for what you write.

`quell functions NAME` says the same on the command line.

"""
MESSAGE = """entity User labels "spammer"

event message from "message"
  at       time = $.at
  author   User = $.author
  content  text = $.content
"""
FILES = {"found": ("lists/slurs.txt", "grobnik\nplozzer\n")}
CASES = {
    "count": """let messages_1m = count(message by author within 1m)

rule fast on message
  when messages_1m > 2
  then flag

test "the third message within a minute"
  given message { author: "u1" } repeat 3 every 10s
  expect value messages_1m == 3
  expect flag
""",
    "distinct": """let texts = distinct(fingerprint(content) of message by author within 1h)

rule varied on message
  when texts >= 2
  then flag

test "two texts, one of them twice"
  given message { author: "u1", content: "hello" } repeat 2 every 10s
  expect value texts == 1
  given message { author: "u1", content: "goodbye" }
  expect value texts == 2
""",
    "values": """let texts = values(content of message by author within 1h)

rule varied on message
  when size(texts) >= 2
  then flag

test "the newest first"
  given message { author: "u1", content: "hello" }
  given message { author: "u1", content: "bye" }
  expect value texts == ["bye", "hello"]
  given message { author: "u1", content: "hello" }
  expect value texts == ["hello", "bye"]
""",
    "sum": """let written = sum(length(content) of message by author within 1h)

rule chatty on message
  when written > 10
  then flag

test "characters in an hour"
  given message { author: "u1", content: "hello" } repeat 3 every 10s
  expect value written == 15
  expect flag
  given message { author: "u1", content: "hi" } after 2h
  expect value written == 2
""",
    "mean": """let usual = mean(length(content) of message by author within 1d before this)

rule long_for_them on message
  when length(content) > 3 * usual
  then flag

test "three times as long as usual"
  given message { author: "u1", content: "hello" }
  given message { author: "u1", content: "bye" }
  given message { author: "u1", content: "many more than twelve" }
  expect value usual == 4
  expect flag
""",
    "stddev": """let spread = stddev(length(content) of message by author within 1d)

rule all_alike on message
  when spread == 0
  then flag

test "messages of one length"
  given message { author: "u1", content: "hello" }
  expect value spread is missing
  given message { author: "u1", content: "world" }
  expect flag
  given message { author: "u1", content: "hi" }
  expect value round(spread, 3) == 1.732
""",
    "rate": """let usual = rate(message by author per 1h within 1d)

rule busy on message
  when usual > 2
  then flag

test "sixty a day"
  given message { author: "u1" } repeat 60 every 1m
  expect value usual == 2.5
  expect flag
""",
    "since_last": """rule quick on message
  when since_last(message by author within 1h) < 2s
  then flag

test "two in a second"
  given message { author: "u1" }
  expect value since_last(message by author within 1h) is missing
  given message { author: "u1" } after 1s
  expect value since_last(message by author within 1h) == 1s
  expect flag
""",
    "label_age": """rule fresh on message
  when label_age(author, "spammer") < 1h
  then block

test "half an hour after the label"
  given label "spammer" on User "u1"
  given message { author: "u1" } after 30m
  expect value label_age(author, "spammer") == 30m
  expect block
  given message { author: "u2" }
  expect value label_age(author, "spammer") is missing
""",
    "found": """list slurs from "lists/slurs.txt" as words

rule slurs_said on message
  when size(found(content, slurs)) > 0
  then block

test "the entries in order of place"
  given message { content: "Plozzer! grobnik! plozzer!" }
  expect value found(content, slurs) == ["plozzer", "grobnik"]
""",
    "reasons": """score risk
  40 when content contains "nitro" because "speaks of nitro"
  20 when length(content) < 10 because "{length(content)} characters"

rule risky on message
  when risk >= 40
  then review
  because "{reasons(risk)}"

test "why there are points"
  given message { content: "nitro" }
  expect value reasons(risk) == ["speaks of nitro", "5 characters"]
  expect message "speaks of nitro, 5 characters" by risky
""",
}
"""For each form, what the compiler itself works out, a bundle that shows it."""


def page() -> str:
    """The page as it should be."""
    result = CliRunner().invoke(functions, ["--markdown"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    sections = result.output.removeprefix("# Functions\n").strip("\n").split("\n### ")
    return INTRO + "\n### ".join(_with_case(s) for s in sections) + "\n"


def _with_case(section: str) -> str:
    name = section.split("\n", 1)[0].strip("`")
    if name not in CASES:
        return section
    section, group, after = section.partition("\n## ")
    path, content = FILES.get(name, ("", ""))
    file = f"```file {path}\n{content}```\n\n" if path else ""
    return f"{section.rstrip()}\n\n{file}```quell\n{MESSAGE}\n{CASES[name]}```\n{group}{after}"


def forms() -> list[str]:
    """The names of all forms."""
    return [row.name for row in REGISTRY.rows() if row.form]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
