"""What the numbers of throughput cells are called, in the order of tables."""

from __future__ import annotations

from sambench.suites.scoring.scores import About, Metric
from sambench.suites.throughput.statistics import PERCENTILES

METRICS = (
    Metric("params_m", "Params, M", "million", higher_is_better=False, optional=True),
    Metric("encoder_macs_g", "MACs, G", "billion", higher_is_better=False, optional=True),
    Metric("encoder_macs_plain_g", "MACs of products, G", "billion", higher_is_better=False, optional=True),
    Metric("img_s", "img/s", "img/s", brief=True),
    Metric("img_s_p50", "img/s by p50", "img/s"),
    Metric("prompts_s", "prompts/s", "prompts/s", optional=True),
    Metric("ratio_vit_h", "x SAM-ViT-H", "times", optional=True),
    Metric("ratio_vit_h_released", "x as released", "times", optional=True),
    Metric("ratio_vit_h_best", "x its best", "times", optional=True),
    *(
        Metric(f"latency_ms_p{p}", f"p{p}, ms", "ms", higher_is_better=False, brief=p in (50, 99))
        for p in PERCENTILES
    ),
    Metric("cov", "Variation, %", higher_is_better=False),
    Metric("audit_gain", "Gain on one batch, %", higher_is_better=False, optional=True),
    Metric("tflop_s", "TFLOP/s", "TFLOP/s", optional=True),
    Metric("product_tflop_s", "Plain products", "TFLOP/s", higher_is_better=None),
    Metric("ceiling_tflop_s", "Ceiling", "TFLOP/s", higher_is_better=None),
    Metric("ceiling_share", "Share, %", optional=True, brief=True),
    Metric("gb_s", "Memory, GB/s", "GB/s", higher_is_better=None),
    Metric("peak_memory_mb", "Peak, MB", "MB", higher_is_better=False),
)

ABOUT = About("Throughput", METRICS)
