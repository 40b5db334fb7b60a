"""A picture of the evaluation graph as text for Mermaid or Graphviz."""

from __future__ import annotations

from quell.engine.diagram import Diagram, Kind

_MERMAID: dict[Kind, tuple[str, str]] = {
    "field": ("([", "])"),
    "counter": ("[(", ")]"),
    "list": ("[/", "/]"),
    "label": (">", "]"),
    "model": ("{{", "}}"),
    "fired": ("[[", "]]"),
    "value": ("[", "]"),
    "shared": ("(", ")"),
    "condition": ("{{", "}}"),
    "operation": ("(", ")"),
    "rule": ("[[", "]]"),
}
_DOT: dict[Kind, str] = {
    "field": "oval",
    "counter": "cylinder",
    "list": "parallelogram",
    "label": "cds",
    "model": "component",
    "fired": "box",
    "value": "box",
    "shared": "box",
    "condition": "hexagon",
    "operation": "box",
    "rule": "box",
}
_FILLS: dict[Kind, str] = {
    "field": "#e8f1fb",
    "counter": "#fdf0dc",
    "list": "#eef6e6",
    "label": "#f3e9f7",
    "model": "#e4f4f2",
    "fired": "#fbe4e2",
    "value": "#f4f4f4",
    "shared": "#ffffff",
    "condition": "#ffffff",
    "operation": "#ffffff",
    "rule": "#fbe4e2",
}


def mermaid(picture: Diagram) -> str:
    """The picture as a Mermaid flowchart."""
    keys = {key: f"n{i}" for i, key in enumerate(picture.shapes)}
    lines = ["flowchart LR"]
    for event in ["", *picture.events()]:
        shapes = [s for s in picture.shapes.values() if s.event == event]
        if event and shapes:
            lines.append(f'  subgraph e_{keys[shapes[0].key]}["{_mermaid_text(event)}"]')
        pad = "    " if event else "  "
        for shape in shapes:
            opening, closing = _MERMAID[shape.kind]
            text = "<br/>".join(_mermaid_text(line) for line in shape.lines)
            lines.append(f'{pad}{keys[shape.key]}{opening}"{text}"{closing}:::{shape.kind}')
        if event and shapes:
            lines.append("  end")
    for arrow in picture.arrows:
        line = "-.->" if arrow.dashed else "-->"
        label = f'|"{_mermaid_text(arrow.label)}"|' if arrow.label else ""
        lines.append(f"  {keys[arrow.start]} {line}{label} {keys[arrow.end]}")
    kinds: dict[Kind, None] = {s.kind: None for s in picture.shapes.values()}
    for kind in kinds:
        lines.append(f"  classDef {kind} fill:{_FILLS[kind]},stroke:#777,color:#222")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Text inside double quotes: Mermaid knows character codes and nothing else."""
    return "".join(c if c.isalnum() or c in " _.,:()=+-/…×−" else f"#{ord(c)};" for c in text)


def dot(picture: Diagram) -> str:
    """The picture as a Graphviz digraph."""
    keys = {key: f"n{i}" for i, key in enumerate(picture.shapes)}
    lines = [
        f"digraph {_quoted(picture.title)} {{",
        "  rankdir=LR;",
        "  newrank=true;",  # without it Graphviz fails where an arrow leaves a cluster and comes back
        '  node [fontname="Helvetica", fontsize=10, style=filled, color="#777777"];',
        '  edge [fontname="Helvetica", fontsize=8, color="#777777"];',
    ]
    for number, event in enumerate(["", *picture.events()]):
        shapes = [s for s in picture.shapes.values() if s.event == event]
        if event:
            lines += [
                f"  subgraph cluster_{number} {{",
                f"    label={_quoted(event)};",
                '    color="#cccccc";',
            ]
        for shape in shapes:
            label = _quoted("\n".join(shape.lines))
            style = f'shape={_DOT[shape.kind]}, fillcolor="{_FILLS[shape.kind]}"'
            style += ", peripheries=2" if shape.kind == "rule" else ""
            lines.append(f"  {'  ' * bool(event)}{keys[shape.key]} [label={label}, {style}];")
        lines += ["  }"] * bool(event)
    for arrow in picture.arrows:
        said = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        said += ["style=dashed"] if arrow.dashed else []
        lines.append(
            f"  {keys[arrow.start]} -> {keys[arrow.end]}" + (f" [{', '.join(said)}]" if said else "") + ";"
        )
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    """A string of the DOT language."""
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
