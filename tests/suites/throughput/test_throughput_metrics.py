"""The metrics of throughput cells, as tables and comparisons read them."""

from sambench.suites.throughput.metrics import ABOUT, METRICS
from sambench.suites.throughput.statistics import PERCENTILES, summarise


def test_each_name_is_there_once_and_the_percentiles_are_those_that_are_computed():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    measured = summarise([[0.5, 0.25]], 1).latency_ms
    assert [n for n in names if n.startswith("latency_ms_p")] == [f"latency_ms_p{p}" for p in PERCENTILES]
    assert set(measured) == set(PERCENTILES)
    assert ABOUT.metrics == METRICS


def test_speeds_are_better_when_higher_and_times_and_memory_when_lower():
    better = {metric.name: metric.higher_is_better for metric in METRICS}
    assert all(better[name] for name in ("img_s", "prompts_s", "ratio_vit_h", "ceiling_share"))
    assert not any(better[name] for name in ("latency_ms_p50", "latency_ms_p99", "peak_memory_mb", "cov"))
