# Runs under MicroPython: configurations kept on littlefs on NOR flash in a file, whose power may be cut at any
# operation: the process dies. Arguments: the file, "fresh" or the operation at which the power goes (0: never).
import sys

import desired
import vfs
from hal.virtual_flash import Cut, FlashFile

BLOCKS = 16
LAST = 5


def settings(version):  # noqa: D103
    return {"status_s": version, "policy": "seal", "frame_ms": 1000 * version}


def main(path, at):  # noqa: D103
    if at == "fresh":
        with open(path, "wb") as f:
            f.write(b"\xff" * (BLOCKS * 4096))
        vfs.VfsLfs2.mkfs(FlashFile(path, 0, BLOCKS * 4096, lambda kind, n: None))
        return
    at = int(at)
    vfs.mount(
        vfs.VfsLfs2(FlashFile(path, 0, BLOCKS * 4096, lambda kind, n: None, Cut(at, at) if at else None)), "/board"
    )
    while True:
        state, failed = desired.choose("/board")
        for each in [state["now"]] + ([state["next"][:2]] if "next" in state else []):
            assert each[1] == (settings(each[0]) if each[0] else {}), state
        print("have", state["newest"], state["now"][0], failed or 0)
        if "next" in state and state["next"][0] % 2:
            # every other one is proven
            state["now"] = state.pop("next")[:2]
        elif "next" in state:
            continue
        elif state["newest"] < LAST:
            state["newest"] += 1
            state["next"] = [state["newest"], settings(state["newest"]), 0]
        else:
            print("done")
            return
        for _ in desired.store("/board", state):
            pass


main(*sys.argv[1:])
