"""Random schedules of good and bad saves: what decides at the end is the last good content, and nothing was
swapped in twice, half, or out of order."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path

import pytest

from tests.reload_given import RULES, SAVES, World, save, world


async def act(w: World, chosen: random.Random, step: int, saved: list[list[str]]) -> None:
    """One save. `saved` are the good contents of the list so far."""
    what = chosen.random()
    words = w.policies / "lists" / "bad_words.txt"
    if what < 0.5:
        content = ["badword", f"word{chosen.randrange(4)}"]
        save(words, "\n".join(content) + "\n", chosen.choice(SAVES))
        saved.append(content)
    elif what < 0.7:
        save(words, f"nothing{step}\n", chosen.choice(SAVES))  # the bundle's test fails
    elif what < 0.8:
        save(w.policies / "rules.quell", RULES + f"\nrule broken{step}\n", chosen.choice(SAVES))
        await asyncio.sleep(chosen.choice((0.0, 0.05, 0.3)))
        save(w.policies / "rules.quell", RULES, chosen.choice(SAVES))
    elif what < 0.9:
        (w.policies / "README.md").write_text(str(step))
    else:
        aside = w.policies.with_name("aside")
        w.policies.rename(aside)
        await asyncio.sleep(chosen.choice((0.0, 0.05)))
        aside.rename(w.policies)
    await asyncio.sleep(chosen.choice((0.0, 0.0, 0.01, 0.05, 0.3)))


@pytest.mark.parametrize("seed", range(6))
def test_what_decides_at_the_end_is_the_last_good_content(tmp_path: Path, seed: int) -> None:
    async def scene() -> None:
        chosen = random.Random(seed)
        async with world(tmp_path) as w:
            saved = [w.words()]
            for step in range(12):
                await act(w, chosen, step, saved)
            last = ["badword", "the last"]
            save(w.policies / "lists" / "bad_words.txt", "\n".join(last) + "\n", chosen.choice(SAVES))
            saved.append(last)
            await w.until(lambda: w.words() == last)
            await w.settled()
            went = [w.started.build, *(build for build, _ in w.swapped)]
            lists = [build.analysis.lists["bad_words"].entries() for build in went]
            assert lists[-1] == last
            assert in_order(lists, saved), (lists, saved)
            assert all(a != b for a, b in itertools.pairwise(lists)), "nothing is swapped for itself"
            numbers = [info.number for _, info in w.swapped]
            assert numbers == sorted(set(numbers))
            assert w.versions.live == w.swapped[-1][1]

    asyncio.run(scene())


def in_order(some: list[list[str]], of: list[list[str]]) -> bool:
    """Whether all of `some` come in `of` in that order."""
    left = iter(of)
    return all(any(one == other for other in left) for one in some)
