"""A visitor of the screens without a browser: opens pages, checks that nothing failed, reads what they say."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

import dashboards
from storage import Run, open_run

APP = Path(dashboards.__file__).with_name("window.py")
CONTEXT = '<div class="uv-context">'
BROKEN = "This part could not be drawn"
#: Arguments of the smallest synthetic run.
TINY = {"n_models": 2, "n_latents": 20, "n_documents": 24, "n_untrained": 0, "replicates": False}

# Streamlit asks every installed package for components, anew for each visitor; the answer is always the same.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def visitor(url: str, monkeypatch) -> AppTest:
    """A visitor of a store who has opened no page yet."""
    monkeypatch.setattr(sys, "argv", ["window.py", "--store", url])
    return AppTest.from_file(APP, default_timeout=120)


def opened(url: str, monkeypatch, page: str = "overview", **params: str) -> AppTest:
    """A page of a store, opened by a link with these parameters: no other page was drawn before it."""
    at = visitor(url, monkeypatch)
    if page != "overview":
        return turned(at, page, **params)
    for name, value in params.items():
        at.query_params[name] = value
    return checked(at.run())


def turned(at: AppTest, page: str, **params: str) -> AppTest:
    """The same visitor on another page, by a link with these parameters."""
    at.switch_page(f"app_pages/{page}.py")
    for name, value in params.items():
        at.query_params[name] = value
    return checked(at.run())


def checked(at: AppTest) -> AppTest:
    """No exception reached the visitor, and no panel gave up for a reason it does not know."""
    assert not at.exception, at.exception
    assert not [e.value for e in at.error if BROKEN in e.value], [c.value for c in at.code]
    return at


def sentences(at: AppTest) -> str:
    return "\n".join(e.value for kind in (at.info, at.error, at.warning, at.caption, at.markdown) for e in kind)


def html(at: AppTest) -> str:
    return "\n".join(element.proto.body for element in at.get("html"))


def damage(url: str, *steps: str, run: str | None = None) -> None:
    """Flip a byte in the middle of every table, array and text of some steps of a run; of the newest where none is
    named.
    """
    for name, node in open_run(run, url).record["nodes"].items():
        if name.startswith(steps):
            folder = Path(url) / "artifacts" / node["key"]
            for path in folder.rglob("*"):
                if path.is_file() and path.name != "manifest.json" and path.stat().st_size:
                    data = bytearray(path.read_bytes())
                    data[len(data) // 2] ^= 0xFF
                    path.chmod(0o644)
                    path.write_bytes(data)


def links(run: Run) -> dict[str, dict[str, str]]:
    """For every screen an address that shows the most of it."""
    pairs, features, clusters = (run.table(name) for name in ("pairs", "features", "clusters"))
    alone = features[(features["class"] == "specific") & (features["status"] == "alive")].head(1)
    chosen = {"feature": "m0:1", "cluster": "0", "pair": "m0:1-m1:1"}
    if len(pairs):
        best = pairs.loc[pairs["r_held_out"].idxmax()]
        chosen["feature"] = f"{best['model_a']}:{best['latent_a']}"
        chosen["pair"] = f"{chosen['feature']}-{best['model_b']}:{best['latent_b']}"
        chosen["cluster"] = str(clusters.loc[clusters["n_models"].idxmax(), "cluster"])
    lonely = f"{alone['model'].iloc[0]}:{alone['latent'].iloc[0]}" if len(alone) else "m0:1"
    return {
        "overview": {},
        "pairs": {"pair": chosen["pair"]},
        "clusters": {"cluster": chosen["cluster"]},
        "specific": {"feature": lonely},
        "feature": {"feature": chosen["feature"]},
        "lens": {"text": "hello", "token": "2"},
        "steer": {"subject": chosen["cluster"], "prompt": "hello", "go": "1", "tokens": "10"},
        "games": {},
        "graph": {"cluster": chosen["cluster"]},
        "map": {"feature": chosen["feature"]},
        "runs": {},
        "beside": {"a": "other", "b": "synthetic"},
        "studies": {},
        "sweeps": {},
    }
