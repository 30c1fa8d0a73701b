"""The folder of a report: nobody's files are overwritten, and every file has its digest."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from universality.errors import refusal

MANIFEST = "manifest.json"
KIND = "universality-report"
SCHEMA = 1


class ReportFolder:
    """Collects the files of a report; an earlier report in the same folder is replaced.

    Attributes:
        path: the folder.
        digests: sha256 and size of every file written so far, by relative path.
    """

    def __init__(self, path: Path) -> None:
        """Claim a folder.

        Raises:
            InputError: it is a file, or holds anything but an earlier report.
        """
        self.path = path
        self.digests: dict[str, dict[str, Any]] = {}
        _clear(path)
        path.mkdir(parents=True, exist_ok=True)
        # From here on the folder is known as a report, even if writing is cut short.
        self._manifest({"complete": False})

    def write(self, name: str, content: bytes | str, *, digested: bool = True) -> None:
        """Write one file.

        Args:
            name: relative path with forward slashes.
            content: bytes, or text that becomes UTF-8.
            digested: whether the manifest vouches for its bytes; False for the file of time stamps.
        """
        data = content.encode("utf-8") if isinstance(content, str) else content
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        digest = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} if digested else {"sha256": None}
        self.digests[name] = digest

    def finish(self, run_name: str, artifacts: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Write the manifest; returns the relative paths of all files, the manifest last.

        Args:
            run_name: name of the run.
            artifacts: keys of the run's artifacts by node.
        """
        files = dict(sorted(self.digests.items()))
        self._manifest({"complete": True, "run": run_name, "artifacts": dict(artifacts or {}), "files": files})
        return (*files, MANIFEST)

    def _manifest(self, fields: dict[str, Any]) -> None:
        temporary = self.path / f".{MANIFEST}.tmp"
        temporary.write_text(json_text({"kind": KIND, "schema": SCHEMA, **fields}), encoding="utf-8")
        os.replace(temporary, self.path / MANIFEST)


def json_text(value: Any) -> str:
    """JSON as files of a report hold it: indented, keys in the order given, no NaN."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _clear(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise refusal("report folder", str(path), "a folder", "a file", "Give another --out.")
    if not any(path.iterdir()):
        return
    for name in _earlier(path):
        # Never outside of the folder, whatever an edited manifest says.
        target = (path / name).resolve()
        if target.is_relative_to(path.resolve()):
            target.unlink(missing_ok=True)


def _earlier(path: Path) -> list[str]:
    """Files that an earlier report left here."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["kind"] != KIND:
            raise ValueError("another kind of folder")
        return [str(name) for name in manifest.get("files", {})]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        constraint, remedy = "new, empty, or an earlier report", "Give another --out, or empty it."
        raise refusal("report folder", str(path), constraint, "a folder with other files", remedy) from None
