"""The screens: what they are called, and the icons that stand for them wherever a link leads there."""

from typing import NamedTuple


class Screen(NamedTuple):
    """A screen as the navigation and links to it show it: its title, and the name of a Material symbol."""

    title: str
    icon: str


#: File name in ``app_pages`` and path in the address -> screen, in the order of the navigation. The first is the start.
SCREENS: dict[str, Screen] = {
    "overview": Screen("Overview", "insights"),
    "pairs": Screen("Pairs", "join_inner"),
    "clusters": Screen("Clusters", "hub"),
    "specific": Screen("Model-specific", "join_left"),
    "feature": Screen("Feature", "neurology"),
    "lens": Screen("Text lens", "search_insights"),
    "steer": Screen("Steer", "swap_driving_apps_wheel"),
    "games": Screen("Games", "stadia_controller"),
    "map": Screen("Map", "scatter_plot"),
    "graph": Screen("Graph", "graph_3"),
    "studies": Screen("Studies", "science"),
    "sweeps": Screen("Sweeps", "tune"),
    "runs": Screen("Runs", "list_alt"),
}


def file_of(screen: str) -> str:
    """The script of a screen, from the folder of the app."""
    return f"app_pages/{screen}.py"


def icon_of(screen: str) -> str:
    """The icon of a screen as Streamlit names it."""
    return f":material/{SCREENS[screen].icon}:"
