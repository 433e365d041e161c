"""Times running a full-size StyleGAN2 config-f program on today's TensorFlow, on a CPU, and takes its memory.

    python benchmarks/export_tf.py        (needs the extra: pip install '.[tf]')

Makes a 1024² official pickle of three networks (about 360 MB, random weights) that carries a source of ours, then
exports it, first the variables alone, then with a reference of one seed and all layers. Prints the time of each and the
peak memory of the process that runs TensorFlow and of the one that waits for it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from convert import make_pickle

SOURCE = Path(__file__).parents[1] / "tests" / "tools" / "tf_sources" / "stylegan2.py"
EXPORT = """
import json, resource, sys, time
from pathlib import Path
from converter.original.run import Recording
from converter.original.export import export
folder = Path(sys.argv[2])
recording = Recording([0], layers=True) if sys.argv[3] == "reference" else None
start = time.perf_counter()
export(sys.argv[1], folder / "out.npz", folder / "ref.npz" if recording else None, recording, force=True)
seconds = time.perf_counter() - start
peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
print(json.dumps([seconds, *peaks]))
"""


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "config-f.pkl"
        subprocess.run([sys.executable, __file__, "--make", str(source)], check=True)
        print(f"{platform.machine()}, {os.cpu_count()} cores; pickle {source.stat().st_size / 1e6:.0f} MB")
        for kind in ("variables", "reference"):
            start = [sys.executable, "-c", EXPORT, str(source), folder, kind]
            result = subprocess.run(start, check=True, capture_output=True, text=True)
            seconds, child, parent = json.loads(result.stdout)
            print(f"{kind:10} {seconds:6.1f} s   TensorFlow's process {child:6.0f} MB   ours {parent:6.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_pickle(Path(sys.argv[2]), SOURCE.read_text())
    else:
        main()
