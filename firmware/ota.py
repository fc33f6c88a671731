# An update on its way into flash (SPEC.md section 14): the signed manifest, then the files that it names, one behind
# the other. The place of an application's files is the slot that does not run, see folder.py; a whole image's is a
# partition of its own, see whole.py. What is there tells how far it is, so it goes on after any power cut; nothing of
# it counts before its signature, and none of its files before their digests were right. Loaded when somebody updates.
from hashlib import sha256

import slots
from cbor import decode
from cose import TAIL, open_sign1, sign1_digest
from folder import Folder
from micropython import const
from p256_verify import verify
from wire import (
    AAD_UPDATE,
    COMMAND_UPDATE_APPLY,
    COMMAND_UPDATE_BEGIN,
    COMMAND_UPDATE_STATUS,
    COMMANDKEY_CONFIRMED,
    COMMANDKEY_OFFSET,
    COMMANDKEY_PENDING,
    COMMANDKEY_SIZE,
    MAX_FRAME,
    MAX_PATH,
    MAX_UPDATE_FILE,
    MAX_UPDATE_FILES,
    MAX_UPDATE_IMAGE,
    RESULT_BAD_ARGUMENT,
    RESULT_NO_UPDATE,
    RESULT_OK,
    RESULT_UPDATE_DAMAGED,
    RESULT_UPDATE_FOREIGN,
    RESULT_UPDATE_FORGED,
    RESULT_UPDATE_OLD,
    RESULT_UPDATE_TOO_BIG,
    RESULT_UPDATE_UNSUPPORTED,
    UPDATEKEY_BOARD,
    UPDATEKEY_COUNTER,
    UPDATEKEY_FILES,
    UPDATEKEY_FIRMWARE,
    UPDATEKEY_KIND,
    UPDATEKEY_VERSION,
    UPDATEKIND_APPLICATION,
    UPDATEKIND_IMAGE,
    VERSION,
)

_SYNC = const(4096)  # bytes of a file after which they are made durable: a whole block costs no copying
_READ = const(512)
_RESERVE = const(65536)  # bytes that stay free
_LONG = ("long", 0)  # erasing may follow
_COST = ("bytecode", 400)
_NAMES = "abcdefghijklmnopqrstuvwxyz0123456789_./"


class Refused(Exception):
    pass


class Updater:
    # root: folder of the flash's file system. maker: x and y, 64 bytes, of the key that signs updates. board: its name.
    # app: what an update starts by, see later.py. spare: a function that gives the whole image's partition.
    def __init__(self, root, maker, board, app, spare):
        self._root = root
        self._spare = spare
        self._maker = maker
        self._board = board
        self._app = app
        self._waits = False  # whether an update of this boot waits for its start
        self._begun = None  # what begin was given: length of the manifest, its digest
        self._files = None  # [(path, bytes, digest)], once the manifest is there and good
        self._counter = 0
        self._number = 0  # the file that is being written
        self._at = 0  # bytes of it, or of the manifest
        self._done = 0  # bytes before it
        self._size = 0  # of all
        self._file = self._hash = None
        self._place = None  # where those go: a Folder or a Whole

    def handle(self, command, argument, fields):
        # A generator of slices, each yielded as (kind, units); returns the result. The fields are the reply's.
        try:
            state = slots.load(self._root)
            self._slot = Folder(self._root + ("/b" if state["run"] == "a" else "/a"))
            self._least = state["counter"]
            result = RESULT_OK
            if "try" in state or "image" in state:
                if not self._waits or command != COMMAND_UPDATE_STATUS:
                    raise Refused(RESULT_BAD_ARGUMENT)  # one thing at a time
            elif command == COMMAND_UPDATE_BEGIN:
                yield from self._begin(argument)
            elif command == COMMAND_UPDATE_APPLY:
                result = self._apply(argument, state)
            elif command != COMMAND_UPDATE_STATUS:
                yield from self._write(argument)
        except Refused as e:
            result = e.args[0]
        except (OSError, MemoryError):  # no room, or flash that fails: the next begin looks at what is there
            self._begun = self._files = self._file = None
            result = RESULT_UPDATE_TOO_BIG
        fields[COMMANDKEY_OFFSET] = self._done + self._at
        fields[COMMANDKEY_SIZE] = self._size
        fields[COMMANDKEY_CONFIRMED] = self._least
        fields[COMMANDKEY_PENDING] = self._waits
        return result

    # ------------------------------------------------------------ each command

    def _begin(self, argument):
        # goes on with what is there of the same update, and clears what is there of another
        if not _form(argument, int, bytes) or not TAIL < argument[0] <= MAX_FRAME or len(argument[1]) != 32:
            raise Refused(RESULT_BAD_ARGUMENT)
        self._close()
        begun = b"%d " % argument[0] + argument[1]
        if self._slot.contents("begun") != begun:
            yield from self._slot.clear()
            self._slot.make()
            yield _LONG
            with self._slot.write("begun", 0) as f:
                f.write(begun)
        self._begun = argument
        yield from self._resume()

    def _resume(self):
        # finds out how far the update in the slot is
        size, digest = self._begun
        self._files = None
        self._number = self._done = self._size = 0
        self._at = self._slot.size("manifest")
        if self._at >= size:
            yield from self._learn()
            while self._number < len(self._files):
                path, size, digest = self._files[self._number]
                self._at = self._place.there(path, size)
                yield from self._digest(path)
                if self._at < size or not (yield from self._finish()):
                    return

    def _write(self, argument):
        # the bytes from an offset on; others than the next ones change nothing, the reply says which those are
        if not _form(argument, int, bytes):
            raise Refused(RESULT_BAD_ARGUMENT)
        if not self._begun or self._files is not None and self._number == len(self._files):
            raise Refused(RESULT_NO_UPDATE)
        offset, data = argument
        if offset != self._done + self._at:
            return
        if self._files is None:
            place, path, size = self._slot, "manifest", self._begun[0]
        else:
            place = self._place
            path, size, _ = self._files[self._number]
        data = data[: size - self._at]
        if not self._file:
            yield _LONG
            self._file = place.write(path, self._at)
        yield _LONG
        self._file.write(data)
        if self._hash:
            self._hash.update(data)
        before = self._at
        self._at += len(data)
        yield _COST
        if self._at == size:
            self._close()
            yield _LONG
            if self._files is None:
                yield from self._learn()
            elif not (yield from self._finish()):
                raise Refused(RESULT_UPDATE_DAMAGED)
        elif before // _SYNC != self._at // _SYNC:
            self._file.flush()

    def _apply(self, argument, state):
        # on trial at the next start; by the setting if the argument is 1, otherwise whenever that comes
        if argument != 0 and argument != 1:
            return RESULT_BAD_ARGUMENT
        if self._files is None or self._number < len(self._files):
            return RESULT_NO_UPDATE
        if argument:
            import later

            hour = later.hour(self._root)
        before = dict(state)
        self._place.start(state, self._counter)
        slots.store(self._root, state)
        try:
            self._place.switch()
        except OSError:  # the chip's loader does not take it
            slots.store(self._root, before)
            raise
        self._waits = not argument or later.start(self._app, hour)
        return RESULT_OK

    # ------------------------------------------------------------ what it takes

    def _learn(self):
        # Believe the manifest that is there, or throw it away.
        data = self._slot.contents("manifest")
        result = RESULT_UPDATE_FORGED
        if sha256(data).digest() == self._begun[1]:
            try:
                payload = open_sign1(data)
                digest = sign1_digest(memoryview(data), len(data) - TAIL, AAD_UPDATE)
                maker = int.from_bytes(self._maker[:32], "big"), int.from_bytes(self._maker[32:], "big")
                work = verify(maker, digest, data[-64:])
                try:
                    while True:
                        yield "modmul", next(work)
                except StopIteration as stop:
                    if stop.value:
                        result = self._judge(decode(payload))
            except ValueError:
                pass
        if result != RESULT_OK:
            self._begun = None
            self._at = 0
            yield from self._slot.clear()
            raise Refused(result)
        self._done = len(data)
        self._at = 0
        self._hash = sha256()

    def _judge(self, m):
        # whether this board may take what the maker's key has signed
        if not isinstance(m, dict) or len(m) != 6 or m.get(UPDATEKEY_VERSION) != VERSION:
            return RESULT_UPDATE_FORGED
        kind, counter, files = m.get(UPDATEKEY_KIND), m.get(UPDATEKEY_COUNTER), m.get(UPDATEKEY_FILES)
        if not isinstance(m.get(UPDATEKEY_FIRMWARE), str) or not _form([counter, files], int, list) or not files:
            return RESULT_UPDATE_FORGED
        if m.get(UPDATEKEY_BOARD) != self._board:
            return RESULT_UPDATE_FOREIGN
        if counter <= self._least:
            return RESULT_UPDATE_OLD
        if counter >> 32:
            return RESULT_UPDATE_FORGED
        image = kind == UPDATEKIND_IMAGE
        spare = self._spare() if image else None
        if kind != UPDATEKIND_APPLICATION and not spare:
            return RESULT_UPDATE_UNSUPPORTED
        total = 0
        seen = {"manifest", "begun", "sectors"}
        folders = set()
        for file in files:
            if not _form(file, str, int, bytes) or len(file[2]) != 32 or not _good(file[0]) or file[0] in seen:
                return RESULT_UPDATE_FORGED
            if "/" in file[0]:
                folders.add(file[0].split("/")[0])
            if not 0 < file[1] <= (MAX_UPDATE_IMAGE if image else MAX_UPDATE_FILE):
                return RESULT_UPDATE_TOO_BIG
            seen.add(file[0])
            total += file[1]
        if seen & folders:
            return RESULT_UPDATE_FORGED
        self._place = self._slot
        if image:
            if len(files) > 1:
                return RESULT_UPDATE_FORGED
            if total > spare.info()[3]:
                return RESULT_UPDATE_TOO_BIG
            from whole import Whole

            self._place = Whole(spare, self._slot, total)
            total = 0
        have = sum([self._slot.size(file[0]) for file in files])
        if len(files) > MAX_UPDATE_FILES or not self._slot.holds(total - have + _RESERVE):
            return RESULT_UPDATE_TOO_BIG
        self._files = files
        self._counter = counter
        self._number = 0
        self._size = self._begun[0] + sum([file[1] for file in files])
        return RESULT_OK

    def _finish(self):
        # The file is whole: on to the next one if it is what was signed, else it is thrown away; returns which.
        path, size, digest = self._files[self._number]
        good = self._hash.digest() == digest
        self._hash = sha256()
        self._at = 0
        if good:
            self._done += size
            self._number += 1
        else:
            yield _LONG
            self._place.remove(path)
        return good

    def _digest(self, path):
        # of what is already there of a file
        self._hash = sha256()
        left = self._at
        if left:
            with self._place.read(path) as f:
                while left:
                    data = f.read(min(left, _READ))
                    self._hash.update(data)
                    left -= len(data)
                    yield _COST

    def _close(self):
        if self._file:
            self._file.close()
            self._file = None


def _form(value, *types):
    if not isinstance(value, list) or len(value) != len(types):
        return False
    for item, type in zip(value, types):
        if not isinstance(item, type) or item is True or item is False or type is int and item < 0:
            return False
    return True


def _good(path):
    # lower case, one folder at most, and nothing that leads anywhere else
    parts = path.split("/")
    return (
        len(path) <= MAX_PATH
        and len(parts) <= 2
        and all(c in _NAMES for c in path)
        and all(part and part[0] != "." for part in parts)
    )
