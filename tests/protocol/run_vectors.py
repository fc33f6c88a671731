# The vectors of protocol/vectors, put to one side by its adapter: the same file under CPython and under MicroPython.
#
#   run_vectors.py ADAPTER FILE...
#
# An adapter is a module of tables: READ {what: f(bytes, key) -> value}; WRITE {what: f(value, key) -> bytes, None for
# a form this side never writes}; FREE, what this side writes in a form of its own choice; BLIND, the pairs of what and
# reason that this side does not look at; and reason(error). Prints one JSON object a line: a failure, bytes made in a
# free form, at last the counts. Nothing is skipped without being counted.
import json
import sys


def meant(value):
    """Return the JSON form of a vector's part as Python values."""
    if isinstance(value, list):
        return [meant(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and "map" in value:
        return {meant(key): meant(each) for key, each in value["map"]}
    if len(value) == 1 and "hex" in value:
        return bytes.fromhex(value["hex"])
    return {name: meant(each) for name, each in value.items()}


def same(a, b):
    """Whether two values are equal in type too: true is not 1."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))  # noqa: B905 - MicroPython's zip has no strict
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(key in b and same(a[key], b[key]) for key in a)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return a == b


class Run:
    def __init__(self, side):
        self.side = side
        self.counts = {}

    def count(self, what, how):
        name = what + " " + how
        self.counts[name] = self.counts.get(name, 0) + 1

    def fail(self, vector, why):
        print(json.dumps({"fail": vector["name"], "why": str(why)[:300]}))
        self.count(vector["what"], "failed")

    def accepted(self, vector, data, key):
        side = self.side
        what = vector["what"]
        expect = meant(vector["expect"])
        absent = True
        if what in side.READ:
            absent = False
            got = side.READ[what](data, key)
            if same(got, expect):
                self.count(what, "read")
            else:
                self.fail(vector, got)
        made = side.WRITE[what](expect, key) if what in side.WRITE else None
        if made is not None:
            absent = False
            if what in side.FREE:
                print(json.dumps({"made": vector["name"], "hex": made.hex()}))
                self.count(what, "made")
            elif made == data:
                self.count(what, "written")
            else:
                self.fail(vector, "wrote " + made.hex())
        if absent:
            self.count(what, "absent")

    def refused(self, vector, data, key):
        side = self.side
        what = vector["what"]
        if what not in side.READ:
            return self.count(what, "absent")
        try:
            got = side.READ[what](data, key)
        except Exception as error:
            reason = side.reason(error)
            if reason is None:
                raise
            if reason in ("", vector["error"]):
                return self.count(what, "refused")
            return self.fail(vector, "refused as " + reason)
        if (what, vector["error"]) in side.BLIND:
            return self.count(what, "blind")
        return self.fail(vector, "accepted as " + str(got))

    def line(self, line):
        vector = json.loads(line)
        data = bytes.fromhex(vector["hex"])
        try:
            (self.refused if "error" in vector else self.accepted)(vector, data, meant(vector["key"]))
        except Exception as error:
            self.fail(vector, repr(error))


def main(adapter, files):
    """Put the vectors of files to an adapter."""
    run = Run(__import__(adapter))
    for name in files:
        with open(name, encoding="utf-8") as file:
            for line in file:
                run.line(line)
    print(json.dumps({"counts": run.counts}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
