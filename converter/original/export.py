"""What `stylegan-export-tf` does: run the program in a file, write its variables, and what it computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from converter.conversion import opened
from converter.original.run import Original, Recording, embedded_code, memory_limit, run_original
from stylegan_torch.files.atomic import new_file, refuse_existing


def export(
    src: str | Path,
    dst: Path,
    reference: Path | None = None,
    recording: Recording | None = None,
    *,
    memory: int | None = None,
    force: bool = False,
    on_progress: Callable[[str], None] = lambda text: None,
    modules: Path | None = None,
    weak_isolation: bool = False,
) -> Original:
    """Run the program in `src`, and write its variables to `dst` and what it computes to `reference`.

    Calling this is consent to run code from the file, in a child process that is shut in; where the system lacks some
    of the protections, nothing is run but with `weak_isolation`. `modules` is a folder with modules that the program
    imports; those that it names are given to it.

    Raises:
        StyleGANError: one line that names what is wrong; nothing is written then.
    """
    targets = [dst, *([reference] if reference else [])]
    refuse_existing(targets, force)
    with opened(src) as file:
        source = file.program()
        embedded_code(source)
        limit = memory or memory_limit(None)
        original = run_original(
            source,
            limit,
            recording if reference else None,
            on_progress=on_progress,
            modules=modules,
            weak_isolation=weak_isolation,
        )
        with ExitStack() as files:
            dump, *rest = [files.enter_context(new_file(path, force)) for path in targets]
            original.write_dump(dump)
            for target in rest:
                original.write_reference(target)
    return original
