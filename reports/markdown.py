"""A report as one Markdown file."""

from __future__ import annotations

from sambench.reports.content import Content
from sambench.reports.made import Grid
from sambench.reports.renderers import markdown
from sambench.reports.renderers.markdown import escape

LEAD = """Promptable segmentation models on the tasks of the EfficientViT-SAM paper, measured by sambench. A
difference from the paper is printed only where both numbers were made the same way: its protocol, all of its
images and annotations, the official weights, fp32. A bare name is a model's official weights, run by eager
PyTorch in fp32 on all images; whatever is otherwise stands behind it. Accuracies are in percent, with their
95% intervals from a bootstrap over images; intervals of speeds are the lowest and the highest round. The
figures are in `report.html`."""


def render(content: Content) -> str:
    """Return the whole file."""
    parts = ["# Measured, beside the published numbers", LEAD]
    parts += [f"> **Warning:** {escape(warning)}" for warning in content.warnings]
    parts.append("\n".join(f"- {name}: {escape(', '.join(v))}" for name, v in content.facts.items() if v))
    parts += [markdown.render(section.table).rstrip() for section in content.sections]
    if content.unmeasured:
        parts.append("Of the paper, nothing was measured of:")
        parts.append("\n".join(f"- {escape(title)}" for title in content.unmeasured))
    parts += [_grid(grid) for grid in content.elsewhere]
    parts.append("## How these numbers were made")
    parts += [_grid(grid) for grid in content.grids]
    if content.commands:
        parts.append("### To run it again")
        parts += [f"    {' '.join(command.split())}" for command in content.commands]
    return "\n\n".join(filter(None, parts)) + "\n"


def _grid(grid: Grid) -> str:
    lines = [f"### {grid.title}", "", *([grid.caption, ""] if grid.caption else [])]
    lines.append(f"| {' | '.join(map(escape, grid.head))} |")
    lines.append("|" + "".join("--:|" if field.number else ":--|" for field in grid.rows[0]))
    for row in grid.rows:
        fields = (f"**{escape(f.text)}**" if f.marked else escape(f.text) for f in row)
        lines.append(f"| {' | '.join(fields)} |")
    return "\n".join(lines)
