# Which application runs: the factory's, beside this file, or the one in slot "a" or "b" that an update filled. A new
# one runs once on trial; unless it was confirmed then, the next start goes back. Loader and application both use this.
#
# The file `slots` holds {"run": slot of the confirmed application, "" for the factory's, "counter": its anti-rollback
# counter}, during a trial also "try": the other slot, "next": its counter, "tried": whether it has been started; after
# one that failed "failed": its counter. While a whole image is on trial it holds "image": its counter, and "spare": the
# partition it is in; there the chip's own loader goes back to the other. The file is only ever replaced whole, by a
# rename, so a power cut leaves old or new.
import json
import os


def load(root):
    try:
        with open(root + "/slots") as f:
            return json.load(f)
    except OSError:
        return {"run": "", "counter": 0}


def store(root, state):
    with open(root + "/slots.new", "w") as f:
        json.dump(state, f)
    os.rename(root + "/slots.new", root + "/slots")


def choose(root):
    # The folder to import the application from first, "" for the factory's; once for each start.
    state = load(root)
    slot = state["run"]
    if "try" in state:
        if state["tried"]:
            state = {"run": slot, "counter": state["counter"], "failed": state["next"]}
        else:
            slot = state["try"]
            state["tried"] = True
        store(root, state)
    return slot and root + "/" + slot


def on_trial(root, hal):
    state = load(root)
    if "image" in state and state["spare"] != hal.image():
        store(root, {"run": state["run"], "counter": state["counter"], "failed": state["image"]})
        return False
    return "image" in state or state.get("tried", False)


def confirm(root, hal):
    # what is on trial stays, and nothing older is taken any more, in one step
    state = load(root)
    if "image" in state:
        hal.keep_image()
        state["try"] = state["run"]
        state["next"] = state["image"]
    store(root, {"run": state["try"], "counter": state["next"]})
    return state["next"]


def take_failed(root):
    # the counter of an application that was given up since the last call, or None
    state = load(root)
    failed = state.pop("failed", None)
    if failed is not None:
        store(root, state)
    return failed
