"""Sets of pictures of any size: planned, drawn shard by shard by one process or many machines, and verified.

from stylegan_torch import bulk
plan = bulk.plan(["ffhq.pt"], 100_000, recipe=bulk.Recipe(truncation=(0.7, 0.7)))
bulk.begin("faces", plan)
bulk.run("faces", engine="local", workers=8)      # as often as it takes
assert not bulk.verify("faces", redraw=0.001).faults
"""

from stylegan_torch.bulk.filters import Filter
from stylegan_torch.bulk.plans import Encoding, Plan, plan
from stylegan_torch.bulk.running import State, begin, read_plan, run
from stylegan_torch.bulk.samples import BulkError, Classes, RandomMove, Recipe, parse_random_move
from stylegan_torch.bulk.verifying import Findings, verify

__all__ = [
    "BulkError",
    "Classes",
    "Encoding",
    "Filter",
    "Findings",
    "Plan",
    "RandomMove",
    "Recipe",
    "State",
    "begin",
    "parse_random_move",
    "plan",
    "read_plan",
    "run",
    "verify",
]
