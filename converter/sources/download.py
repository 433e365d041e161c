"""Downloads into a cache folder: resumed, retried, checked, and never half there.

Over https only, but for a server on this computer. What has arrived when a download fails is kept if it can be gone on
from, which the server must say; of what turns out not to be the file, or to be too large, nothing stays.

Beside a cached file lies `<file>.sha256`, its hash when it was first downloaded, in `sha256sum` format. While
it is incomplete, it is `<file>.part`, and `<file>.part.validator` is the server's mark of that version.
"""

import hashlib
import http.client
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urldefrag, urlencode, urlsplit

import requests
import urllib3
from filelock import FileLock
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from converter.errors import DownloadError
from converter.sources.hashes import sha256_of
from converter.sources.https import FailedError, Limits, RefusedError, Session, SlowError, Watch, may_be_asked
from stylegan_torch.files.atomic import cache_folder

__all__ = ["cache_folder", "cache_path", "direct_url", "download"]

RETRIES = 5
BACKOFF = 0.5  # seconds, doubled at each retry
LONGEST_WAIT = 60.0  # seconds, also where a server's Retry-After asks for more
TIMEOUT = (15.0, 60.0)  # seconds to connect, seconds of silence
CHUNK = 1 << 18

DRIVE_HOSTS = {"drive.google.com", "docs.google.com", "drive.usercontent.google.com"}
DRIVE_DOWNLOAD = "https://drive.usercontent.google.com/download"
MEGA_HOSTS = {"mega.nz", "www.mega.nz", "mega.co.nz", "mega.io"}
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<[!?/a-zA-Z]")
BY_HAND = "open it in a browser, then give stylegan-convert the file"

Report = Callable[[int, int | None], None]
"""Is told the bytes that are there, and the bytes in all, None if unknown."""


class _InterruptedError(Exception):
    """An answer that ended early or does not continue what is there: worth another attempt."""


def download(
    url: str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    cache_dir: Path | None = None,
    progress: bool | None = None,
    limits: Limits | None = None,
) -> Path:
    """The file at `url`: from the cache folder if it is there, else downloaded into it.

    Args:
        url: https; share links of Google Drive are understood.
        sha256: hash the file must have, in hex; without one, the hash it had the first time.
        size: bytes the file must have, where known.
        cache_dir: folder to use in place of `cache_folder()`.
        progress: whether to draw a progress bar on stderr; by default, only if that is a terminal.
        limits: how long it may take, and how large it may be.

    Raises:
        DownloadError: one line with the URL, what is wrong and what to do. The next call goes on where an
            interrupted download stopped; a file that fails a check is deleted.
    """
    job = _Job(direct_url(url), cache_path(url, cache_dir), sha256, size, Watch(limits or Limits()))
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{job.target}.lock"):
            if not job.is_cached():
                job.run(sys.stderr.isatty() if progress is None else progress)
    except FailedError as error:
        raise DownloadError(f"{url}: {error}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadError(f"{url}: cannot be reached ({_cause(error)}); check it, try again") from error
    except OSError as error:
        raise DownloadError(f"{url}: cannot be kept in {job.target.parent}: {error.strerror}") from error
    return job.target


def cache_path(url: str, cache_dir: Path | None = None) -> Path:
    """The file in which `download` keeps `url`: no two URLs share one, all forms of a Drive link do.

    Raises `DownloadError` as `direct_url` does.
    """
    source = direct_url(url)
    name = _drive_id(source) or unquote(PurePosixPath(urlsplit(source).path).name)
    readable = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[-80:]
    return (cache_dir or cache_folder()) / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}-{readable}"


def direct_url(url: str) -> str:
    """The URL that answers with the file itself: a Google Drive share link rewritten, any other as it is.

    Raises `DownloadError` for what cannot be fetched: other schemes, Drive folders, Mega links.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or not url.isprintable():
        raise DownloadError(f"{url!r}: not a valid address; check it")
    if not may_be_asked(url):
        raise DownloadError(
            f"{url}: only https addresses can be downloaded (over http, anybody on the way could change the file); "
            "give the file itself"
        )
    if parts.hostname in MEGA_HOSTS:
        raise DownloadError(f"{url}: Mega encrypts files so that only a browser can fetch them; {BY_HAND}")
    if parts.hostname not in DRIVE_HOSTS:
        return urldefrag(url).url
    drive_id = _drive_id(url)
    if drive_id is None:
        raise DownloadError(f"{url}: not a Google Drive link to a single file; {BY_HAND}")
    query = {"id": drive_id, "export": "download", "confirm": "t"}
    for key in parse_qs(parts.query).get("resourcekey", []):
        query["resourcekey"] = key
    return f"{DRIVE_DOWNLOAD}?{urlencode(query)}"


@dataclass(frozen=True)
class _Partial:
    """The bytes that have arrived, and the validator of the version they belong to."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".validator")

    @property
    def validator(self) -> str:
        return self.note.read_text(encoding="utf-8") if self.note.exists() else ""

    @property
    def resumable(self) -> int:
        """Bytes that a request can go on from: none if nothing tells which version they are of."""
        return self.path.stat().st_size if self.validator and self.path.exists() else 0

    def begin(self, validator: str) -> None:
        self.path.write_bytes(b"")
        self.note.write_text(validator, encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Job:
    """One download, from `source` to `target`."""

    source: str
    target: Path
    sha256: str | None
    size: int | None
    watch: Watch

    @property
    def part(self) -> _Partial:
        return _Partial(self.target.with_name(self.target.name + ".part"))

    def is_cached(self) -> bool:
        """Whether the finished file is there; one that fails its check is deleted, to be downloaded again."""
        if self.target.is_file():
            try:
                self.verify(self.target)
            except RefusedError:
                self.target.unlink()
        return self.target.is_file()

    def run(self, show_progress: bool) -> None:
        try:
            with self.session() as session, _bar(self.target.name, self.part.resumable, show_progress) as report:
                self.complete(session, report)
            self.verify(self.part.path)
        except BaseException as error:
            if isinstance(error, RefusedError) or not self.part.resumable:
                self.part.discard()
            raise
        self.part.path.replace(self.target)
        self.part.discard()

    def session(self) -> Session:
        return Session(
            self.watch,
            _Retry(RETRIES, backoff_factor=BACKOFF, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False),
        )

    def complete(self, session: Session, report: Report) -> None:
        """Fill the partial file, asking for the rest each time an answer breaks off."""
        problem = ""
        for attempt in range(RETRIES + 1):
            if attempt:
                time.sleep(min(BACKOFF * 2**attempt, LONGEST_WAIT))
            self.watch.check_time()
            try:
                return self.attempt(session, report)
            except _InterruptedError as error:
                problem = str(error)
        kept = self.part.resumable
        raise FailedError(f"gave up after {RETRIES + 1} attempts ({problem}); try again, {kept} bytes are kept")

    def ask(self, session: Session) -> requests.Response:
        """Ask for the bytes that are missing."""
        headers = {"Accept-Encoding": "identity"}
        if have := self.part.resumable:
            headers |= {"Range": f"bytes={have}-", "If-Range": self.part.validator}
        try:
            return session.answer(self.source, headers=headers, timeout=TIMEOUT)
        except ValueError as error:
            raise FailedError(f"the server's answer makes no sense ({_cause(error)}); {BY_HAND}") from error

    def attempt(self, session: Session, report: Report) -> None:
        part = self.part
        with self.ask(session) as response:
            done, total = self.span(response)
            limit = self.size if total is None else total
            self.check_room((limit or done) - done, FailedError)
            if not done:
                part.begin(_validator(response))
            with part.path.open("ab") as file:
                for chunk in _body(response):
                    self.watch.keep()
                    self.check_length(done + len(chunk), limit)
                    if limit is None:
                        self.check_room(len(chunk), RefusedError)
                    done += file.write(chunk)
                    report(done, limit)
        if total is not None and done < total:
            raise _InterruptedError(f"{done} of {total} bytes arrived")

    def check_length(self, done: int, limit: int | None) -> None:
        if limit is not None and done > limit:
            raise RefusedError(f"the server sends more than the file's {limit} bytes; {BY_HAND}")
        if done > self.watch.limits.largest:
            raise RefusedError(f"the file has more than {self.watch.limits.largest:,} bytes, which no network has")

    def check_room(self, more: int, error: type[FailedError]) -> None:
        """Raise an error if more bytes would fill the disk."""
        free = shutil.disk_usage(self.target.parent).free
        if more > free - self.watch.limits.reserve:
            raise error(f"there is no room for it in {self.target.parent}: {free:,} bytes are free there")

    def span(self, response: requests.Response) -> tuple[int, int | None]:
        """Where in the file the answer begins, and the file's length (None for a chunked answer).

        An answer that does not continue what is there throws that away: the next attempt starts over.
        """
        status, headers, part = response.status_code, response.headers, self.part
        if status == requests.codes.ok:
            if re.match(r"text/html|application/xhtml", headers.get("Content-Type", "").lower()):
                raise FailedError(self.about_page(next(_body(response), b"")))
            if "chunked" in headers.get("Transfer-Encoding", "").lower():
                return 0, None
            length = re.fullmatch(r"\d{1,15}", headers.get("Content-Length", ""))
            if not length:
                raise FailedError(f"the server does not say how long the file is; {BY_HAND}")
            return 0, self.agreed(int(length[0]))
        if status not in (requests.codes.partial, requests.codes.requested_range_not_satisfiable):
            meaning = http.client.responses.get(status, "")
            raise FailedError(f"the server answers {status} {meaning}; check the address or {BY_HAND}")
        given = re.fullmatch(r"bytes (\d{1,15})-\d+/(\d{1,15})", headers.get("Content-Range", ""))
        same_version = _validator(response) in ("", part.validator)
        if status == requests.codes.partial and given and int(given[1]) == part.resumable and same_version:
            return int(given[1]), self.agreed(int(given[2]))
        part.discard()
        raise _InterruptedError("the file changed at the server")

    def agreed(self, length: int) -> int:
        self.check_length(length, None)
        if self.size not in (None, length):
            raise RefusedError(f"the file has {length} bytes where {self.size} are expected; {BY_HAND}")
        return length

    def about_page(self, page: bytes) -> str:
        """What to say of a web page that came instead of the file."""
        reason = "a web page came instead of the file"
        if _drive_id(self.source):
            spent = b"quota" in page.lower()
            reason += f": Google Drive {'has no download quota left for it' if spent else 'wants a click first'}"
        return f"{reason}; {BY_HAND}"

    def verify(self, path: Path) -> None:
        """Refuse a complete file that is not the one asked for; write down the hash of one that is."""
        with path.open("rb") as file:
            head = file.read(CHUNK)
        if not head:
            raise RefusedError(f"the file there is empty; check the address or {BY_HAND}")
        if WEB_PAGE.match(head):
            raise RefusedError(self.about_page(head))
        self.agreed(path.stat().st_size)
        digest, record = sha256_of(path), self.target.with_name(self.target.name + ".sha256")
        first = record.read_text(encoding="utf-8")[:64] if record.exists() else ""
        if self.sha256 and digest != self.sha256.lower():
            raise RefusedError(f"its sha256 is {digest}, not {self.sha256}; deleted, try again or {BY_HAND}")
        if not self.sha256 and first not in ("", digest):
            raise RefusedError(
                f"its sha256 was {first} at the first download and is {digest} now; deleted, "
                f"remove {record} if you trust the change"
            )
        if digest != first:
            record.write_text(f"{digest}  {self.target.name}\n", encoding="utf-8")


class _Retry(urllib3.Retry):
    """urllib3's retries, with a bound on the wait that a server can impose."""

    def get_retry_after(self, response: "urllib3.BaseHTTPResponse") -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, LONGEST_WAIT)


@contextmanager
def _bar(name: str, done: int, show: bool) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not show, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task(name, total=None, completed=done)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _body(response: requests.Response) -> Iterator[bytes]:
    """The bytes as they are sent: undoing a Content-Encoding would put lengths and ranges out of step."""
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        slow = isinstance(error.__cause__, SlowError)
        raise _InterruptedError(str(error.__cause__) if slow else "the connection broke off") from error


def _validator(response: requests.Response) -> str:
    """What If-Range may name: a strong ETag, else Last-Modified, else nothing."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _drive_id(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.hostname not in DRIVE_HOSTS:
        return None
    in_path = re.search(r"/file/(?:u/\d+/)?d/([\w-]+)", parts.path)
    return in_path[1] if in_path else parse_qs(parts.query).get("id", [None])[0]


def _cause(error: Exception) -> str:
    """The last part of a nested network error, on one line."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    return re.sub(r"[^ -~]+", " ", str(reason).split(": ", 1)[-1])
