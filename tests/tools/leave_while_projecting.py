"""A visitor who leaves at the last step of a projection, as others wait; a process, as Gradio leaves loops open.

python tests/tools/leave_while_projecting.py NETWORK PHOTO
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import converter
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.page import _WAITING, Page, Values
from stylegan_torch.explorer.sessions import NetworkChoice, Sessions


def _opened() -> tuple[Any, Any, dict[str, Any]]:
    G = converter.load(sys.argv[1]).network("G_ema")
    return G, G, {}


sessions = Sessions({"small": NetworkChoice(_opened)})
page, session = Page(sessions), sessions.of("me")
photo = str(shutil.copy(sys.argv[2], sessions.folder))
values = {page.network: "small", page.photo: {"path": photo}, page.steps: 1, page.space: "w+", page.fit: "crop"}


def _projected(visitor: str) -> Iterator[Values]:
    return page._projected({**values, page.label: -1}, sessions.of(visitor))


def _refusal(shown: Iterator[Values]) -> str:
    try:
        next(shown)
    except StyleGANError as error:
        return str(error)
    return ""


shown = _projected("me")
assert page.target in next(shown)
assert "of yours is being projected" in _refusal(_projected("me"))
others = [_projected(str(i)) for i in range(_WAITING + 1)]
assert [_refusal(each).partition(":")[0] for each in others] == [""] * _WAITING + ["too many projections are waiting"]
assert next(shown)[page.progress] == "Step 1 of 1"
sessions.leave("me")
assert list(shown) == [{page.progress: "Stopped."}]
for each in others:
    each.close()  # type: ignore[attr-defined]
sessions.close()
print("left")
