"""Patterns and texts for property tests, in which few characters meet often."""

from __future__ import annotations

import re2
from hypothesis import strategies as st

from quell.signals.patterns import check_pattern, inline

ALPHABET = "abekKsS\u017f\u212aé\u0301Жж1_ \n-.ßİı"
TEXTS = st.text(alphabet=ALPHABET, max_size=12)

_PLAIN = st.sampled_from(
    [c for c in ALPHABET if c not in ".\n-"] + ["-", r"\.", r"\n", r"\x{212a}", r"\x6b", r"\101"]
)
_SETS = st.sampled_from(
    [".", r"\d", r"\w", r"\W", r"\s", r"\S", r"\pL", r"\PL", r"\p{Cyrillic}", "[[:alpha:]]"]
)
_MEMBERS = st.sampled_from(
    ["a", "k", "s", "é", "ж", "1", "_", "-", r"\n", r"\w", r"\W", "a-e", "K-b", "[:digit:]", r"\pL"]
)
_CLASSES = st.builds(
    lambda no, parts: f"[{no}{''.join(p for p in parts if p != '-')}{'-' if '-' in parts else ''}]",
    st.sampled_from(["", "^"]),
    st.lists(_MEMBERS, min_size=1, max_size=4),
)
_ANCHORS = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\z"])
_COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "??", "{0}"])
_ATOMS = st.one_of(_PLAIN, _PLAIN, _PLAIN, _SETS, _CLASSES, _ANCHORS, st.just(r"\Qa.\E"))


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.builds(
        "{}{})".format,
        st.sampled_from(["(", "(?:", "(?i:", "(?-i:", "(?s:", "(?m:", "(?P<n>", "(?U:"]),
        inner,
    )
    return st.one_of(
        st.lists(st.one_of(inner, _ATOMS), max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.builds("{}{}".format, group, _COUNTS),
        st.builds("{}{}".format, st.one_of(_PLAIN, _CLASSES, _ANCHORS), _COUNTS),
        group,
        st.builds("(?{}){}".format, st.sampled_from(["i", "s", "m", "-i", "im"]), inner),
    )


PATTERNS = st.recursive(_ATOMS, _grown, max_leaves=12).filter(lambda p: check_pattern(p) is None)
FLAGS = st.sampled_from(["", "i", "s", "m", "im", "ims"])


def found(pattern: str, flags: str, text: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(inline(pattern, flags), options).search(text) is not None
