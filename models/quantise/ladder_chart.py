"""The ladder as an SVG: how far each rung is from float, on a logarithmic axis."""

import math
from html import escape

LEFT, WIDTH, BAR, GAP, TOP = 330, 400, 16, 8, 40
DECADES = (1e-4, 1e-3, 1e-2, 1e-1)


def draw(rungs):
    """Bars of 1 - cosine: the mean solid, the worst crop as a line. `rungs`: (name, mean, least)."""
    def x(value):
        position = (math.log10(max(value, DECADES[0])) + 4) / 3.5
        return LEFT + WIDTH * min(position, 1.0)

    height = TOP + len(rungs) * (BAR + GAP) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             '<style>text{fill:#444}.bar{fill:#2b7a78}.worst{stroke:#c8553d;stroke-width:2}.grid{stroke:#ccc}</style>',
             f'<text x="{LEFT}" y="14">1 - cosine to float: bar the mean, line the worst of the crops</text>']
    for value in DECADES:
        parts.append(f'<path class="grid" d="M{x(value):.0f} {TOP - 6}V{height - 8}"/>'
                     f'<text x="{x(value):.0f}" y="{TOP - 10}" text-anchor="middle">{value:g}</text>')
    for i, (name, mean, least) in enumerate(rungs):
        y = TOP + i * (BAR + GAP)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
                     f'<rect class="bar" x="{LEFT}" y="{y}" width="{x(1 - mean) - LEFT:.1f}" height="{BAR}"/>'
                     f'<path class="worst" d="M{x(1 - mean):.1f} {y + BAR / 2}H{x(1 - least):.1f}M{x(1 - least):.1f} {y + 2}v{BAR - 4}"/>')
    return "\n".join(parts) + "\n</svg>\n"
