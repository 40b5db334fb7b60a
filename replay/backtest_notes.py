"""What a reader of a backtest must know before believing it, as sentences."""

from __future__ import annotations

from quell.engine.cli_output import count, percent
from quell.replay.report_data import Backtest

MOST_NAMED = 4


def notes(report: Backtest) -> list[str]:
    """All of them, the gravest first."""
    return [
        *_refused(report),
        *_versions(report),
        *_windows(report),
        *_order(report),
        *_values(report),
        *_remote(report),
    ]


def named(names: list[str]) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(f"`{name}`" for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return shown + (f" and {more:,} more" if more > 0 else "")


def _refused(report: Backtest) -> list[str]:
    source = report.source
    if not source.refused:
        return []
    share = percent(source.refused, source.records, 2)
    return [f"{count(source.refused, 'record')} ({share}) were refused, as online, and are in no figure"]


def _versions(report: Backtest) -> list[str]:
    """Whether a journal is told as it happened, or as it would have been."""
    versions = report.source.versions
    if not versions:
        return []
    if set(versions.values()) == {report.version}:
        return ["these very policies decided all of it in service"]
    numbers = sorted(versions)
    told = f"version {numbers[0]}" if len(numbers) == 1 else f"versions {numbers[0]} to {numbers[-1]}"
    return [f"this is what these policies would have done throughout: in service {told} decided"]


def _windows(report: Backtest) -> list[str]:
    warm = report.warmup
    out = []
    if warm.longest and warm.longest != "ever":
        if not warm.whole:
            out.append(
                f"the history is shorter than the longest window ({warm.longest}): counters saw less than "
                f"they would in service, so rules that need many events fire too seldom here"
            )
        elif warm.events and not warm.left_out:
            out.append(
                f"windows of up to {warm.longest} were not full until {warm.until}: "
                f"{count(warm.events, 'event')} ({percent(warm.events, report.source.events)}) came before, "
                f"and are in the figures (--warm-up leave-out takes them out)"
            )
        elif warm.events:
            out.append(
                f"{count(warm.events, 'event')} before {warm.until} filled windows of up to {warm.longest} "
                f"and are in no figure"
            )
    if warm.ever:
        out.append("some counters look back for ever: what came before this history they do not know")
    return out


def _order(report: Backtest) -> list[str]:
    source = report.source
    if not source.late:
        return []
    told = f"{count(source.late, 'event')} stand after later ones in the files"
    if source.order == "time":
        return [f"{told}; the replay put all in order of time"]
    return [f"{told}; they were decided in that order, as late events"]


def _values(report: Backtest) -> list[str]:
    out = []
    if any(row.sampled for row in report.rules):
        out.append("how often conditions are missing was looked at on a sample of events and scaled up")
    if report.source.problems:
        told = count(report.source.problems, "value")
        out.append(f"{told} of the wrong kind stood in optional fields and counted as missing")
    return out


def _remote(report: Backtest) -> list[str]:
    if report.source.journals:
        if not report.remote:
            return []
        recorded, missing = sum(report.remote.values()), sum(report.unrecorded.values())
        told = f"remote answers: {recorded:,} recorded, {missing:,} not"
        return [f"{told}, which are missing" if missing else told]
    unrecorded = sorted(model for model, recorded in report.remote.items() if not recorded)
    if not unrecorded:
        return []
    told = named(unrecorded)
    return [f"the answers of {told} were not recorded in this history, and are missing throughout"]
