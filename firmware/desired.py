# Which configuration is in force (SPEC.md section 15), over power cuts and starts that fail. Loaded where it is asked.
#
# The file `desired` holds {"newest": version of the newest ever taken, "now": [version, {name: value}] of the one that
# is proven, "next": [version, {name: value}, starts] of one that is not yet}. It is only ever replaced whole, by a
# rename, so a power cut leaves old or new.
import json
import os

from micropython import const

_STARTS = const(2)  # that end without a frame before a configuration is given up
_LONG = ("long", 0)


def load(root):
    try:
        with open(root + "/desired") as f:
            return json.load(f)
    except OSError:
        return {"newest": 0, "now": [0, {}]}


def store(root, state):
    # in slices, because each may erase flash
    yield _LONG
    f = open(root + "/desired.new", "w")
    yield _LONG
    json.dump(state, f)
    yield _LONG
    f.close()
    yield _LONG
    os.rename(root + "/desired.new", root + "/desired")
    yield _LONG


def choose(root):
    # Once for each start, which "next" counts, until it had its chance: the state, and a version given up or None.
    state = load(root)
    after = state.get("next")
    failed = None
    if after:
        if after[2] < _STARTS:
            after[2] += 1
        else:
            failed = after[0]
            del state["next"]
        for _ in store(root, state):
            pass
    return state, failed
