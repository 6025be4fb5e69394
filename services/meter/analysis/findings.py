"""What a person should look at, by fixed thresholds: each finding says what was measured, against what, and what to do. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from services.meter.analysis.figures import Group, Measure, Model, Outliers, spread, summed

FEWEST = 10
"""Below so many samples nothing is said."""
SIGMAS = 3.0
LEAST_EXCESS = 1.5
"""An outlier is also at least so many times the mean: of a million even calls thousands lie beyond three deviations, and mean nothing."""
LARGE_TOKENS = 10_000
HEALTHY, DEGRADED = 0.95, 0.8
REFUSED = 0.05
CACHE_HITS = 0.3
CACHE_CALLS, CACHE_ADVICE_CALLS = 10, 100
SLOW_S, MANY_TOKENS = 10.0, 5_000
TREND = 0.25
ERROR_TREND = 0.05
BUSY_HOUR = 2.0
WASTED = 0.1

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """`subject` is a provider, `provider/model`, or an hour of the day."""

    kind: str
    severity: Severity
    subject: str
    measured: float
    threshold: float
    what: str
    to_do: str


def findings(groups: Sequence[Group], outliers: Iterable[Outliers]) -> list[Finding]:
    """All that is found, what is worst first."""
    models = [(f"{provider}/{model}", group) for (provider, model), group in by_model(groups).items()]
    found = [
        *(one for provider, group in by_provider(groups).items() for one in reliability(provider, group)),
        *(one for rule in MODEL_RULES for name, group in models for one in rule(name, group)),
        *(one for outlier in outliers for one in anomaly(outlier)),
        *trends(groups),
        *hourly(groups),
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda one: order[one.severity])


def by_provider(groups: Iterable[Group]) -> dict[str, Group]:
    return {key[0]: group for key, group in _gathered(groups, lambda one: (one.provider, "")).items()}


def by_model(groups: Iterable[Group]) -> dict[Model, Group]:
    return _gathered(groups, lambda one: one.key)


def by_hour_of_day(groups: Iterable[Group]) -> dict[str, Group]:
    return {key[0]: group for key, group in _gathered(groups, lambda one: (one.hour[-2:], "")).items()}


def _gathered(groups: Iterable[Group], key: Callable[[Group], Model]) -> dict[Model, Group]:
    found: dict[Model, list[Group]] = defaultdict(list)
    for one in groups:
        found[key(one)].append(one)
    return {name: summed(found[name]) for name in sorted(found)}


def share_answered(group: Group) -> float | None:
    """Of the calls that the provider answers for; None of none."""
    judged = group.answered + group.faults
    return group.answered / judged if judged else None


def state_of(share: float | None) -> str:
    if share is None:
        return "unknown"
    return "healthy" if share > HEALTHY else "degraded" if share > DEGRADED else "unhealthy"


def reliability(provider: str, group: Group) -> Iterator[Finding]:
    share = share_answered(group)
    if share is None or group.answered + group.faults < FEWEST or share > HEALTHY:
        return
    state = state_of(share)
    threshold = HEALTHY if state == "degraded" else DEGRADED
    what = f"{group.faults} of {group.answered + group.faults} calls failed by the provider's fault: it is {state}"
    to_do = "see 'headrace watch' and 'headrace providers check' for the errors; put another provider behind it in its routes"
    yield Finding("reliability", "warning" if state == "degraded" else "error", provider, share, threshold, what, to_do)


def refusals(name: str, group: Group) -> Iterator[Finding]:
    if group.calls >= FEWEST and group.refused / group.calls > REFUSED:
        what = f"{group.refused} of {group.calls} calls ended by the request's own fault (invalid, too long, filtered, expired, cancelled)"
        yield Finding(
            "refused_calls", "warning", name, group.refused / group.calls, REFUSED, what, "read the errors of such results: 'headrace results --since 1h'"
        )


def large_calls(name: str, group: Group) -> Iterator[Finding]:
    if group.large:
        what = f"{group.large} of {group.counted} calls used more than {LARGE_TOKENS} tokens"
        yield Finding(
            "large_calls",
            "warning",
            name,
            group.large,
            LARGE_TOKENS,
            what,
            "shorten prompts or set 'max_output_tokens'; switch prompt caching on where the beginnings repeat",
        )


def cache_hits(name: str, group: Group) -> Iterator[Finding]:
    """Only where a prompt cache is in use: a model that neither writes nor reads has none."""
    if group.cache_known <= CACHE_CALLS or not group.cache_used:
        return
    rate = group.cache_hits / group.cache_known
    if rate < CACHE_HITS:
        advise = group.cache_known > CACHE_ADVICE_CALLS
        to_do = (
            "put what repeats first and what changes last, mark it by hand ('breakpoints: manual'), or keep it longer ('ttl: 1h')"
            if advise
            else "watch it: the sample is small"
        )
        what = f"{group.cache_hits} of {group.cache_known} calls read from the prompt cache"
        yield Finding("cache_hit_rate", "warning", name, rate, CACHE_HITS, what, to_do)


def slow(name: str, group: Group) -> Iterator[Finding]:
    found = spread(group, "duration_s")
    if found.count >= FEWEST and found.mean > SLOW_S:
        what = f"an answer takes {found.mean:.1f} s on average"
        yield Finding("slow", "info", name, found.mean, SLOW_S, what, "ask for shorter answers, or route to a faster model; stream where somebody reads")


def many_tokens(name: str, group: Group) -> Iterator[Finding]:
    found = spread(group, "tokens")
    if found.count >= FEWEST and found.mean > MANY_TOKENS:
        what = f"a call uses {found.mean:.0f} tokens on average"
        yield Finding("many_tokens", "info", name, found.mean, MANY_TOKENS, what, "shorten what every prompt carries, or switch prompt caching on")


def waste(name: str, group: Group) -> Iterator[Finding]:
    if group.calls >= FEWEST and group.cost_usd > 0 and (share := float(group.wasted_usd / group.cost_usd)) > WASTED:
        what = f"${group.wasted_usd:f} of ${group.cost_usd:f} paid for calls that gave no answer"
        yield Finding("wasted_cost", "warning", name, share, WASTED, what, "see which outcomes these are; raise 'timeout_s' where answers came too late")


MODEL_RULES: Sequence[Callable[[str, Group], Iterator[Finding]]] = (refusals, large_calls, cache_hits, slow, many_tokens, waste)


def limits(groups: Iterable[Group]) -> Mapping[tuple[Model, Measure], tuple[float, float]]:
    """For each model and measure the value above which a call is an outlier, and the mean; none where there are too few samples or no spread."""
    measures: tuple[Measure, ...] = ("duration_s", "tokens")
    found: dict[tuple[Model, Measure], tuple[float, float]] = {}
    for key, group in by_model(groups).items():
        for measure in measures:
            values = spread(group, measure)
            if values.count > FEWEST and values.deviation > 0:
                found[key, measure] = max(values.mean + SIGMAS * values.deviation, LEAST_EXCESS * values.mean), values.mean
    return found


def anomaly(found: Outliers) -> Iterator[Finding]:
    unit = "s" if found.measure == "duration_s" else "tokens"
    what = f"{found.count} call(s) lie beyond {SIGMAS:g} deviations; the worst, {found.worst_call}, has {found.worst:.1f} {unit}, the mean is {found.mean:.1f}"
    request = found.worst_call.split("/")[1] if "/" in found.worst_call else found.worst_call
    to_do = f"headrace trace {request}"
    yield Finding(f"unusual_{found.measure.removesuffix('_s')}", "info", f"{found.provider}/{found.model}", found.worst, found.limit, what, to_do)


def trends(groups: Sequence[Group]) -> Iterator[Finding]:
    """The later half of the hours against the earlier one, each with enough samples; one odd call makes no trend (three standard errors)."""
    hours = sorted({one.hour for one in groups})
    if len(hours) < 2:
        return
    middle = hours[len(hours) // 2]
    earlier, later = by_model(one for one in groups if one.hour < middle), by_model(one for one in groups if one.hour >= middle)
    for key in earlier.keys() & later.keys():
        name = "/".join(key)
        yield from _mean_trend(name, earlier[key], later[key], "duration_s", "slower", "quicker")
        yield from _mean_trend(name, earlier[key], later[key], "tokens", "larger", "smaller")
        yield from _error_trend(name, earlier[key], later[key])


def _mean_trend(name: str, earlier: Group, later: Group, measure: Measure, more: str, less: str) -> Iterator[Finding]:
    before, after = spread(earlier, measure), spread(later, measure)
    if min(before.count, after.count) < FEWEST or not before.mean:
        return
    change = after.mean / before.mean - 1
    doubt = sqrt(before.deviation**2 / before.count + after.deviation**2 / after.count)
    if abs(change) > TREND and abs(after.mean - before.mean) > SIGMAS * doubt:
        unit = "s" if measure == "duration_s" else "tokens"
        what = f"calls become {more if change > 0 else less}: {before.mean:.3g} {unit} on average, then {after.mean:.3g}"
        to_do = "compare the two halves: 'headrace cost --by model,day', 'headrace watch'" if change > 0 else "nothing, unless it surprises"
        yield Finding(f"trend_{measure.removesuffix('_s')}", "warning" if change > 0 else "info", name, change, TREND, what, to_do)


def _error_trend(name: str, earlier: Group, later: Group) -> Iterator[Finding]:
    if min(earlier.calls, later.calls) < FEWEST:
        return
    before, after = (1 - group.answered / group.calls for group in (earlier, later))
    whole = 1 - (earlier.answered + later.answered) / (earlier.calls + later.calls)
    doubt = sqrt(whole * (1 - whole) * (1 / earlier.calls + 1 / later.calls))
    if after - before > max(ERROR_TREND, SIGMAS * doubt):
        what = f"more calls fail: {before:.1%}, then {after:.1%}"
        yield Finding("trend_errors", "warning", name, after - before, ERROR_TREND, what, "see 'headrace watch' for the errors of now")


def hourly(groups: Sequence[Group]) -> Iterator[Finding]:
    """Hours of the day that are much busier than the mean of those that have calls; said when there is a whole day to look at."""
    of_day = by_hour_of_day(groups)
    if len(of_day) < 24 or len({one.hour for one in groups}) < 24:
        return
    mean = sum(group.calls for group in of_day.values()) / len(of_day)
    for hour, group in of_day.items():
        if group.calls >= FEWEST and group.calls > BUSY_HOUR * mean:
            what = f"{group.calls} calls between {hour}:00 and {hour}:59 UTC, {mean:.0f} in an hour on average"
            yield Finding(
                "busy_hour",
                "info",
                f"{hour}:00",
                group.calls / mean,
                BUSY_HOUR,
                what,
                "publish what can wait on the lane 'bulk', or add adapters for this hour",
            )
