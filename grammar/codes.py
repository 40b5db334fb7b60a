"""Every diagnostic code: its severity and what it means, in one sentence.

The language reference in tests/ has a section per code with a policy that earns it; a test compares
the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding."""

    severity: Severity
    meaning: str


def _errors(**codes: str) -> dict[str, Code]:
    return {slug.replace("_", "-"): Code("error", meaning) for slug, meaning in codes.items()}


def _warnings(**codes: str) -> dict[str, Code]:
    return {slug.replace("_", "-"): Code("warning", meaning) for slug, meaning in codes.items()}


CODES: dict[str, Code] = {
    # reading files
    **_errors(
        unreadable_file="a file of the bundle cannot be read as text, or is larger than is sensible",
        outside_bundle="a policy or quell.toml names a file outside the bundle's folder",
        missing_file="a list or model names a file that is not in the bundle",
        bad_list_file="a list file has a line that is not an entry of its kind",
        bad_model="a model file that is broken, or that is none of those Quell runs",
        bad_settings="quell.toml is not valid, or holds a setting that Quell does not know",
        empty_bundle="the folder has no policy files",
    ),
    # reading text
    **_errors(
        syntax="a declaration does not read as one",
        unknown_declaration="a line at the margin begins with no word that declares something",
        stray_indent="an indented line belongs to no declaration",
        assignment_in_condition="a single = stands where == is meant",
        bad_text="text has an escape that does not exist or a brace that does not close",
        bad_number="a number is too large to be one",
        bad_regex="a regular expression that RE2 does not accept",
        too_deep="an expression nests more deeply than is allowed",
        repeated_clause="a clause stands twice where it may stand once",
        counter_order="the parts of a counter stand in another order than the one there is",
    ),
    # names
    **_errors(
        declared_twice="a name is declared a second time",
        unknown_name="a name that nothing declares, or that cannot stand here",
        unknown_function="a function that neither the language nor the bundle has",
        unknown_type="a type that does not exist",
        unknown_event="an event or shape that no declaration names",
        unknown_rule="a rule that no declaration names",
        unknown_label="a label that the entity's declaration does not list",
        unknown_verdict="a verdict that is not on the ladder",
        unknown_field="a field or attribute that is not there",
        unknown_word="a word that is none of those allowed here",
        reserved_name="a name that the language keeps for itself",
        cycle="names that need each other to be defined",
    ),
    # meaning
    **_errors(
        type_mismatch="an operand or argument of another type than is needed",
        entity_mismatch="two different kinds of entity where one is needed",
        wrong_arguments="too many or too few arguments, or ones that must be literals",
        not_a_condition="something else than true-or-false where a condition is needed",
        not_constant="a value that must be known before anything runs",
        missing_default="a default or value that does not fit the field's type",
        bad_event="an event declaration that cannot be told apart or has no time",
        bad_path="a JSON path that clashes with another or cannot give the field's type",
        bad_window="a window, limit, or rollout that is not positive or not finite",
        bad_input="inputs of a model that are not those of its file",
        bad_counter="a counter whose parts do not fit together",
        not_on_event="a rule or test uses what its events do not have",
        bad_remote="a remote model's declaration does not fit together",
        waits_for_remote="something that is needed when an event comes in and known only with an answer",
        bad_exempt="an exemption that cannot be decided in order",
        bad_effect="an effect that cannot be carried out as written",
        bad_test="a test step that cannot be run as written",
        too_costly="a policy that is larger than the engine will run",
    ),
    # lints
    **_warnings(
        no_effect="a rule that does nothing when it fires",
        duplicate_rule="two rules with the same condition and effects on the same events",
        always_true="a condition that cannot be false",
        never_true="a condition that cannot be true",
        constant_condition="a part of a condition that is the same whatever the event",
        subsumed="a part of a condition that another part makes superfluous",
        unused_name="a name that nothing uses",
        duplicate_entry="an entry that a list has twice, or that another entry covers",
        mixed_and_or="and with or, without parentheses that say which comes first",
        message_number="a message with a number that is not the one in the condition beside it",
        regex_combining="a regex class that takes a base letter apart from its combining marks",
        regex_anchor="an anchor that can never match where it stands",
        regex_whole="a pattern that matches every text",
        odd_duration="a duration just beside a usual one, such as 25h",
        equals_count="a counter compared with == where reaches is meant",
        idle_resolution="a resolution that saves nothing, since the same is counted exactly as well",
        silenced_by_missing="a rule that says nothing whenever an optional field is left out",
        shadowed_name="a parameter or element with the name of something else",
        missing_test="a rule that no test names",
        empty_list="a list file without entries",
        no_target="a remote model that quell.toml lets nobody answer, or a target that no model asks",
        unreachable_verdict="a verdict that a rule asks for and that can never be the answer",
    ),
}
