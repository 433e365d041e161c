"""Whether all files of the packages are installed (the page, templates, data, types); their names come on stdin."""

import sys
from importlib.util import find_spec
from pathlib import Path

NOT_INSTALLED = "checkpoints/demo/log.csv"

names = sys.stdin.read().split()
origins = [find_spec(name).origin for name in ("stylegan_torch", "converter", "checkpoints")]
(root,) = {Path(origin).parents[1] for origin in origins}
missing = [name for name in names if name != NOT_INSTALLED and not (root / name).is_file()]
if not names or "site-packages" not in root.parts or missing:
    sys.exit(f"{root} has no {', '.join(missing) or 'installed packages'}")
