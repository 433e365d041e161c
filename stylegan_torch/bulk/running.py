"""A set from its plan: begun, gone on with after whatever stopped it, and finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stylegan_torch.bulk import finishing
from stylegan_torch.bulk.duplicates import newly_excluded
from stylegan_torch.bulk.engines import ENGINES
from stylegan_torch.bulk.plans import VERSION, Plan
from stylegan_torch.bulk.samples import BulkError
from stylegan_torch.bulk.shards import EXCLUDED, MANIFEST, Done, Excluded, Job
from stylegan_torch.bulk.stores import LocalStore, Store, open_store
from stylegan_torch.drawing.marks import Signer


@dataclass(frozen=True)
class State:
    """How far a set is: shards that are whole, of how many; pictures drawn now, and how many were rejected."""

    done: int
    shards: int
    drawn: int
    rejected: int


def begin(place: str | Path, plan: Plan) -> Plan:
    """Write the manifest of a set, unless it is there; return the plan, as the set has it.

    Raises:
        BulkError: if the place holds a set of another plan.
    """
    store = open_store(str(place))
    if store.read(MANIFEST) is None:
        manifest = {"format": "stylegan-torch set", "version": VERSION, "name": plan.name, "plan": plan.to_json()}
        store.write(MANIFEST, json.dumps(manifest, indent=1).encode())
    there = read_plan(place)
    if there.name != plan.name:
        raise BulkError(f"{place} holds a set of another plan ({_difference(there, plan)}); take another folder")
    return there


def read_plan(place: str | Path) -> Plan:
    """Return the plan of a set.

    Raises:
        BulkError: if there is none.
    """
    content = open_store(str(place)).read(MANIFEST)
    if content is None:
        raise BulkError(f"{place} holds no set: it has no {MANIFEST}")
    try:
        record = json.loads(content)
        if record["version"] > VERSION:
            raise BulkError(f"is of version {record['version']}, which a later release reads")
        made = Plan.of_json(record["plan"])
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise BulkError(f"{place}/{MANIFEST} is damaged") from error
    except BulkError as error:
        raise BulkError(f"{place}/{MANIFEST}: {error}") from error
    return made


def run(
    place: str | Path,
    *,
    engine: str = "none",
    workers: int | None = None,
    networks: Sequence[str | Path] = (),
    shards: Sequence[int] | None = None,
    signer: Signer | None = None,
    trust: bool = False,
    on_progress: Callable[[State], None] = lambda state: None,
) -> State:
    """Draw what a set lacks; it may be stopped and run again at any time, and by several at once.

    Args:
        place: where `begin` wrote its manifest.
        engine: "none" (this process), "local" (processes of this machine) or "ray".
        workers: how many draw at once; by default one a card, or core, of this machine or of Ray's cluster.
        networks: the files to draw with, if they are not where the manifest says.
        shards: these only, by number; the set is then not finished.
        signer: signs each picture, which makes files differ from run to run.
        trust: take shards for whole whose files have the right sizes.
        on_progress: is told how far it is.

    Returns:
        How far it got.

    Raises:
        StyleGANError: if something cannot be read, drawn or written.
    """
    plan = read_plan(place)
    store = open_store(str(place))
    if isinstance(store, LocalStore):
        store.tidy()
    paths = tuple(map(str, networks)) or tuple(each.path for each in plan.networks)
    if len(paths) != len(plan.networks):
        raise BulkError(f"this set is drawn by {len(plan.networks)} networks, not {len(paths)}")
    if signer and plan.encoding.kind == "npy":
        raise BulkError("files of kind npy cannot be signed: choose png, webp or jpeg")
    if plan.layout == "zip" and finishing.is_joined(store):
        finishing.finish(store, plan)
        return State(plan.shards, plan.shards, 0, 0)
    job = Job(plan, str(place), paths, read_excluded(store), signer, trust)
    state = State(0, plan.shards if shards is None else len(shards), 0, 0)
    while True:
        wanted = range(plan.shards) if shards is None else shards
        for done in ENGINES[engine](job, wanted, workers):
            state = _later(state, done)
            on_progress(state)
        if shards is not None:
            return state
        excluded = newly_excluded(store, plan, job.excluded)
        if excluded == job.excluded:
            finishing.finish(store, plan)
            return state
        store.write(EXCLUDED, json.dumps({str(index): list(some) for index, some in excluded.items()}).encode())
        # The rest of the set is known to be whole: only its records are looked at again.
        job, state = replace(job, excluded=excluded, trust=True), replace(state, done=0)


def _later(state: State, done: Done) -> State:
    drawn, rejected = (done.pictures, done.rejected) if done.drawn else (0, 0)
    return replace(state, done=state.done + 1, drawn=state.drawn + drawn, rejected=state.rejected + rejected)


def read_excluded(store: Store) -> Excluded:
    """Return what passes over the whole set excluded.

    Raises:
        BulkError: if that file is damaged; without it the passes begin anew.
    """
    try:
        record = json.loads(store.read(EXCLUDED) or b"{}")
        return {int(index): tuple(map(int, some)) for index, some in record.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BulkError(f"{store.url}/{EXCLUDED} is damaged: remove it, and it is made anew") from error


def _difference(there: Plan, plan: Plan) -> str:
    """Return the first thing in which two plans differ, in words."""
    one, other = there.to_json(), plan.to_json()
    for name in one:
        if one[name] != other[name] and name not in ("hardware",):
            return f"its {name} is {json.dumps(one[name])[:80]}, not {json.dumps(other[name])[:80]}"
    return "it differs"
