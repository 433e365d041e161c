"""A visitor who leaves while the last step of a projection is shown; a process of its own, as Gradio leaves loops open.

python tests/tools/leave_while_projecting.py NETWORK PHOTO
"""

from __future__ import annotations

import shutil
import sys
from typing import Any

import converter
from stylegan_torch.explorer.page import Page
from stylegan_torch.explorer.sessions import NetworkChoice, Sessions


def _opened() -> tuple[Any, Any, dict[str, Any]]:
    G = converter.load(sys.argv[1]).network("G_ema")
    return G, G, {}


sessions = Sessions({"small": NetworkChoice(_opened)})
page, session = Page(sessions), sessions.of("me")
photo = str(shutil.copy(sys.argv[2], sessions.folder))
values = {page.network: "small", page.photo: {"path": photo}, page.steps: 1, page.space: "w+", page.fit: "crop"}
shown = page._projected({**values, page.label: -1}, session)
assert page.target in next(shown)
assert next(shown)[page.progress] == "Step 1 of 1"
sessions.leave("me")
assert list(shown) == [{page.progress: "Stopped."}]
sessions.close()
print("left")
