"""The medians as a bar chart in SVG."""

from xml.sax.saxutils import escape

from report import subtitle, title

WIDTH, LEFT, RIGHT, TOP, STEP, BAR = 880, 270, 190, 92, 27, 17
FONT = "font-family='system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif'"
INK, QUIET, GRID, PAPER = "#1b2733", "#5c6b7a", "#e3e8ee", "#ffffff"
COLOURS = {"own int8": "#d1495b", "own f32": "#e8939c", "int8": "#2f6690", "f32": "#9db8d0", "its choice": "#6a9bc3"}
LEGEND = {"own int8": "doorward int8", "own f32": "doorward f32", "int8": "others int8", "its choice": "others, their default",
          "f32": "others f32"}
# A bar longer than this many times onnxruntime f32 is cut: it would make the others unreadable.
LONGEST = 1.5


def svg(report: dict) -> str:
    """The chart of a report (see `report.document`), fastest on top."""
    return drawn(report["rows"], title(report), subtitle(report), "to_onnxruntime_f32", "ORT f32")


def drawn(rows: list[dict], title: str, subtitle: str, ratio: str, reference_name: str) -> str:
    """The chart of these rows, whose ratio to the reference is called `ratio`."""
    reference = next((row["median_ms"] for row in rows if row[ratio] == 1.0), None)
    longest = max((row["p75_ms"] for row in rows), default=1.0)
    end_ms = min(longest, LONGEST * reference) if reference else longest
    step_ms = grid_step(end_ms)
    scale = (WIDTH - LEFT - RIGHT) / end_ms
    height = TOP + STEP * len(rows) + 62

    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' "
             f"{FONT} role='img'>",
             f"<title>{escape(title)}</title>",
             f"<rect width='{WIDTH}' height='{height}' rx='8' fill='{PAPER}'/>",
             words(24, 32, title, 17, weight=600), words(24, 52, subtitle, 11.5, QUIET)]
    bottom = TOP + STEP * len(rows)
    for number in range(int(end_ms / step_ms + 1e-9) + 1):
        x = LEFT + number * step_ms * scale
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{TOP - 8}' y2='{bottom}' stroke='{GRID}'/>")
        parts.append(words(x, bottom + 15, f"{number * step_ms:g}", 11, QUIET, anchor="middle"))
    parts.append(words(LEFT + end_ms * scale + 12, bottom + 15, "ms, median; line: middle half", 11, QUIET))
    for index, row in enumerate(rows):
        parts += bar(row, TOP + STEP * index, end_ms, scale, row[ratio], reference_name)
    parts += legend(rows, height - 22)
    return "\n".join([*parts, "</svg>", ""])


def kind(row: dict) -> str:
    return f"own {row['precision']}" if row["own"] else row["precision"]


def bar(row: dict, y: float, end_ms: float, scale: float, ratio: float | None, reference_name: str) -> list[str]:
    """One engine: its name, its bar, and its figures behind it."""
    middle = y + BAR / 2
    cut = row["median_ms"] > end_ms
    length = min(row["median_ms"], end_ms) * scale
    parts = [words(LEFT - 10, middle + 4.5, row["name"], 13, weight=600 if row["own"] else 400, anchor="end"),
             f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{BAR}' rx='2' fill='{COLOURS[kind(row)]}'/>"]
    if cut:
        x = LEFT + length - 26
        parts.append(f"<path d='M{x:.1f} {y - 1} l8 0 l-6 {BAR + 2} l-8 0 z' fill='{PAPER}'/>")
    else:
        x1, x2 = (LEFT + min(row[key], end_ms) * scale for key in ("p25_ms", "p75_ms"))
        parts.append(f"<line x1='{x1:.1f}' x2='{x2:.1f}' y1='{middle}' y2='{middle}' stroke='{INK}' stroke-width='1.5'/>")
    end = LEFT + (length if cut else max(length, min(row["p75_ms"], end_ms) * scale))
    figures = f"{row['median_ms']:.2f} ms"
    if ratio is not None:
        figures += f"<tspan fill='{QUIET}'>   {ratio:.2f} of {reference_name}</tspan>"
    parts.append(f"<text x='{end + 8:.1f}' y='{middle + 4.5}' font-size='12.5' fill='{INK}' xml:space='preserve'>"
                 f"{figures}</text>")
    return parts


def legend(rows: list[dict], y: float) -> list[str]:
    """What the colours that occur mean."""
    parts, x = [], 24.0
    for name, meaning in LEGEND.items():
        if any(kind(row) == name for row in rows):
            parts.append(f"<rect x='{x}' y='{y - 10}' width='12' height='12' rx='2' fill='{COLOURS[name]}'/>")
            parts.append(words(x + 18, y, meaning, 12, QUIET))
            x += 40 + 6.6 * len(meaning)
    return parts


def words(x: float, y: float, what: str, size: float, colour: str = INK, weight: int = 400, anchor: str = "start") -> str:
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' font-weight='{weight}' "
            f"text-anchor='{anchor}'>{escape(what)}</text>")


def grid_step(end_ms: float) -> float:
    """A round distance of grid lines: four to ten of them."""
    step = 10.0 ** -3
    while True:
        for times in (1, 2, 5):
            if end_ms / (step * times) <= 10:
                return step * times
        step *= 10
