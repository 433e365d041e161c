"""What `hf_hub_download` asks of the Hugging Face Hub, answered on this machine from a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class _Hub(BaseHTTPRequestHandler):
    """Answers `/OWNER/NAME/resolve/REVISION/FILE`; a repository is a folder OWNER/NAME."""

    def __init__(self, *request: object, folder: Path, taken: list[str]) -> None:
        self.folder, self.taken = folder, taken
        super().__init__(*request)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        content = self._answer()
        self.taken.append(self.path.rpartition("/")[2])
        self.wfile.write(content)

    def _answer(self) -> bytes:
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        path = self.folder / repository / rest.partition("/")[2]
        found = path.is_file()
        content = path.read_bytes() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if not found:
            there = (self.folder / repository).is_dir()
            self.send_header("X-Error-Code", "EntryNotFound" if there else "RepoNotFound")
        self.end_headers()
        return content

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hub_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the address of a Hub with the repositories of a folder, and the list of files that are downloaded there."""
    taken: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, folder=folder, taken=taken)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", taken
        finally:
            server.shutdown()
            thread.join()
