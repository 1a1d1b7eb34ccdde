"""Colours: one theme for terminals with 256 colours or more, one made of the terminal's own sixteen.

The first keeps text at a contrast of 4.5:1 or more (WCAG 2.2, 1.4.3). With sixteen, Rich would round the
first theme's colours to unreadable pairs; the second leaves the choice to the terminal, whose user made it
readable.
"""

from rich.terminal_theme import TerminalTheme
from textual.theme import BUILTIN_THEMES, Theme

RICH = Theme(
    name="kubelab",
    primary="#6cb6ff",
    secondary="#8ddb8c",
    accent="#dcbdfb",
    warning="#e8b55b",
    error="#ff938a",
    success="#7ee2a0",
    foreground="#dbe4ee",
    background="#11161d",
    surface="#161d27",
    panel="#212b38",
    variables={
        "muted": "#93a4b8",
        "edge": "#3b4a5c",
        "celebration": "#2c493e",
        "shell": "#0b0f14",
        "shell-text": "#e3e9f0",
        "block-cursor-background": "#1f3654",
        "block-cursor-foreground": "#ffffff",
        "scrollbar": "#3b4a5c",
        "scrollbar-background": "#11161d",
    },
)

SIXTEEN = Theme(
    name="kubelab-16",
    ansi=True,
    primary="ansi_bright_blue",
    secondary="ansi_cyan",
    accent="ansi_magenta",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables=BUILTIN_THEMES["ansi-dark"].variables
    | {
        "muted": "ansi_default",
        "edge": "ansi_default",
        "celebration": "ansi_default",
        "shell": "ansi_default",
        "shell-text": "ansi_default",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "block-cursor-blurred-foreground": "ansi_default",
        "block-cursor-blurred-background": "ansi_default",
        "footer-background": "ansi_default",
    },
)

# The sixteen colours of programs in the embedded terminal, readable on `shell` above.
PALETTE = TerminalTheme(
    (11, 15, 20),
    (227, 233, 240),
    [
        (40, 50, 63),
        (255, 123, 114),
        (126, 226, 160),
        (232, 181, 91),
        (108, 182, 255),
        (220, 189, 251),
        (118, 227, 234),
        (201, 209, 217),
    ],
    [
        (118, 131, 144),
        (255, 160, 152),
        (160, 240, 185),
        (248, 208, 130),
        (150, 205, 255),
        (235, 215, 255),
        (160, 240, 245),
        (255, 255, 255),
    ],
)


def theme_for(color_system: str | None) -> Theme:
    """Return the theme for Rich's word on the terminal: "truecolor", "256", "standard" or None."""
    return RICH if color_system in ("truecolor", "256") else SIXTEEN
