# Commands: whether to believe one, and what it may do (SPEC.md section 10). What is wrong, stale, repeated or forged is
# refused and counted, and changes nothing. Knows no packets.
from cbor import decode, put
from cose import PAYLOAD, mac0, open_mac0
from mac import hkdf
from micropython import const
from wire import (
    AAD_COMMAND,
    AAD_REPLY,
    COMMAND_ACKNOWLEDGE,
    COMMAND_CONFIGURATION,
    COMMAND_CONFIGURE,
    COMMAND_DESCRIBE,
    COMMAND_IDENTIFY,
    COMMAND_LOG_LEVEL,
    COMMAND_PING,
    COMMAND_REBOOT,
    COMMAND_REPL,
    COMMAND_SET_TIME,
    COMMAND_START,
    COMMAND_STOP,
    COMMAND_UPDATE_APPLY,
    COMMAND_UPDATE_BEGIN,
    COMMAND_UPDATE_STATUS,
    COMMAND_UPDATE_WRITE,
    COMMANDKEY_ARGUMENT,
    COMMANDKEY_BOARD,
    COMMANDKEY_BOOT,
    COMMANDKEY_COMMAND,
    COMMANDKEY_COUNTER,
    COMMANDKEY_DEVICE,
    COMMANDKEY_FIRMWARE,
    COMMANDKEY_NAME,
    COMMANDKEY_NONCE,
    COMMANDKEY_PENDING,
    COMMANDKEY_REPORTED,
    COMMANDKEY_RESULT,
    COMMANDKEY_THUMBPRINT,
    COMMANDKEY_TICKS,
    DIGEST_SIZE,
    INFO_COMMAND,
    LOGLEVEL_DEBUG,
    LOGLEVEL_ERROR,
    MAX_ACCURACY,
    MAX_CHANNELS,
    MAX_OPEN,
    MAX_RANGES,
    MAX_SEQ,
    NONCE_SIZE,
    RESULT_BAD_ARGUMENT,
    RESULT_BAD_FORM,
    RESULT_BAD_MAC,
    RESULT_NOT_ALLOWED,
    RESULT_NOT_PROVISIONED,
    RESULT_OK,
    RESULT_STALE_COUNTER,
    RESULT_UNKNOWN_COMMAND,
    RESULT_UPDATE_TOO_BIG,
    RESULT_WRONG_BOOT,
    RESULT_WRONG_DEVICE,
    RESULT_WRONG_NONCE,
    TAG_MAC0,
)

_LAST = (1 << 63) - 1  # of ticks and UTC
_SLICE = const(500)  # about what a slice costs, in loop iterations
_OPEN_MAC = const(750)
_DECODE = const(20)  # for each byte
_LONG = const(64)  # bytes: reading more than that is announced


class Control:
    # thumbprint: 32 bytes. texts: (firmware, board, name). secret: 32 bytes, or None where not provisioned. nonce: 8
    # random bytes of this boot. actions: the app's {COMMAND_STOP: function(ids, off) -> do they exist,
    # COMMAND_REBOOT: function(None), to reboot once the links are idle}. `links` are all there are; `link` is the one
    # whose command is handled, None between two.
    trial = _updater = None
    step = None  # a configuration to be looked at, for the recorder once it has nothing else to do

    def __init__(self, thumbprint, texts, secret, boot, nonce, clock, journal, actions):
        self.counter = 0  # the last one accepted
        self.refused = 0
        self.request = None
        self.closed = False
        self.links = []
        self.link = None
        self.ota = None  # what an Updater is made of, where the maker's key is provisioned
        self.thumbprint = thumbprint
        self._texts = texts
        self._key = hkdf(secret, thumbprint, INFO_COMMAND) if secret else None
        self._boot = boot
        self._nonce = nonce
        self._clock = clock
        self._journal = journal
        self._actions = actions
        self._cause = 0  # why the last one was refused
        self._told = 0  # of `refused`, by take_refusals()

    def take_refusals(self):
        # (cause of the last refusal, how many since the last call), or None
        count = self.refused - self._told
        self._told = self.refused
        return (self._cause, count) if count else None

    def handle(self, body, reply):
        # A generator of slices, each yielded as (kind, units); returns the length of the answer it built in `reply`.
        result = yield from self.check(body)
        request = self.request
        fields = {COMMANDKEY_COMMAND: request[COMMANDKEY_COMMAND] if request else 0}
        closed = self.closed
        if closed:
            fields[COMMANDKEY_COUNTER] = request[COMMANDKEY_COUNTER]
            fields[COMMANDKEY_NONCE] = self._nonce
        if result == RESULT_OK:
            result = self._HANDLERS[request[COMMANDKEY_COMMAND]](self, request, fields)
            if not isinstance(result, int):
                result = yield from result
        if result != RESULT_OK:
            self.refused += 1
            self._cause = result
        fields[COMMANDKEY_RESULT] = result
        yield ("bytecode", _SLICE)
        if not closed:
            return put(reply, 0, fields)
        end = put(reply, PAYLOAD, fields)
        yield ("bytecode", _SLICE)
        return mac0(reply, end, self._key, AAD_REPLY)

    def check(self, body):
        # The same without doing anything but using up the counter: returns a result, and leaves the command's map in
        # `request`, None if it has not the form of one, and in `closed` whether its MAC is right.
        self.request = None
        self.closed = False
        try:
            if not (len(body) and body[0] == 0xC0 | TAG_MAC0):
                if len(body) > MAX_OPEN:
                    return RESULT_BAD_FORM
                request = decode(body)
                command = _integer(request, COMMANDKEY_COMMAND)
                self.request = request
                if command == COMMAND_IDENTIFY or command == COMMAND_DESCRIBE:
                    return RESULT_OK
                return RESULT_NOT_ALLOWED if command in self._HANDLERS else RESULT_UNKNOWN_COMMAND
            if self._key is None:
                return RESULT_NOT_PROVISIONED
            body = open_mac0(body, self._key, AAD_COMMAND)
            yield ("bytecode", _OPEN_MAC)
            if len(body) > _LONG:
                yield ("long", 0)
            request = decode(body)
            yield ("bytecode", len(body) * _DECODE)
            command = _integer(request, COMMANDKEY_COMMAND)
            boot = _integer(request, COMMANDKEY_BOOT)
            counter = _integer(request, COMMANDKEY_COUNTER)
            device = _octets(request, COMMANDKEY_DEVICE, DIGEST_SIZE)
            nonce = _octets(request, COMMANDKEY_NONCE, NONCE_SIZE)
        except ValueError as e:
            return RESULT_BAD_MAC if "mac" in e.args else RESULT_BAD_FORM
        self.request = request
        self.closed = True
        if device != self.thumbprint[:DIGEST_SIZE]:
            return RESULT_WRONG_DEVICE
        if boot != self._boot:
            return RESULT_WRONG_BOOT
        if nonce != self._nonce:
            return RESULT_WRONG_NONCE
        if counter <= self.counter:
            return RESULT_STALE_COUNTER
        self.counter = counter
        if command not in self._HANDLERS:
            return RESULT_UNKNOWN_COMMAND
        if command in _ARGUMENTS and not _ARGUMENTS[command](request.get(COMMANDKEY_ARGUMENT)):
            return RESULT_BAD_ARGUMENT
        return RESULT_OK

    # ------------------------------------------------------------ what each does

    def _identify(self, request, fields):
        fields[COMMANDKEY_THUMBPRINT] = self.thumbprint
        fields[COMMANDKEY_BOOT] = self._boot
        fields[COMMANDKEY_NONCE] = self._nonce
        fields[COMMANDKEY_COUNTER] = self.counter
        fields[COMMANDKEY_FIRMWARE], fields[COMMANDKEY_BOARD], fields[COMMANDKEY_NAME] = self._texts
        return self._ping(request, fields)

    def _describe(self, request, fields):
        self.link.restart()
        return RESULT_OK

    def _acknowledge(self, request, fields):
        ranges = request[COMMANDKEY_ARGUMENT]
        if ranges[-1][1] > self._journal.newest:
            return RESULT_BAD_ARGUMENT
        return self._settle(ranges)

    def stored(self, seq):
        # this frame is durable elsewhere, by the word of a link whose word is good enough
        for _ in self._settle(((seq, seq),)):
            pass

    def _settle(self, ranges):
        yield ("bytecode", 2 * _SLICE)
        for first, last in ranges:
            self._journal.acknowledge(first, last)
            for link in self.links:
                link.acknowledged(first, last)
            yield ("bytecode", _SLICE)
        if self.trial:
            yield ("long", 0)
            self.trial.acknowledged(ranges[-1][1])
        return RESULT_OK

    def _ping(self, request, fields):
        fields[COMMANDKEY_TICKS] = self._clock.now()
        return RESULT_OK

    def _set_time(self, request, fields):
        if not self._clock.set(*request[COMMANDKEY_ARGUMENT]):
            return RESULT_BAD_ARGUMENT
        return self._ping(request, fields)

    def _switch(self, request, fields):
        taken = self._actions[COMMAND_STOP](request[COMMANDKEY_ARGUMENT], request[COMMANDKEY_COMMAND] == COMMAND_STOP)
        return RESULT_OK if taken else RESULT_BAD_ARGUMENT

    def _log_level(self, request, fields):
        self.link.level = request[COMMANDKEY_ARGUMENT]
        return RESULT_OK

    def _reboot(self, request, fields):
        self._actions[COMMAND_REBOOT](None)
        return RESULT_OK

    def _repl(self, request, fields):
        if not self.link.repl:
            return RESULT_NOT_ALLOWED
        self.link.repl_requested = True
        return RESULT_OK

    def _update(self, request, fields):
        if not self._updater:
            if not self.ota:
                return RESULT_NOT_PROVISIONED
            try:
                from ota import Updater

                self._updater = Updater(*self.ota)
            except MemoryError:
                return RESULT_UPDATE_TOO_BIG
        return self._updater.handle(request[COMMANDKEY_COMMAND], request.get(COMMANDKEY_ARGUMENT), fields)

    def _configure(self, request, fields):
        app = self._actions[COMMAND_CONFIGURE]
        document = request.get(COMMANDKEY_ARGUMENT)
        if request[COMMANDKEY_COMMAND] == COMMAND_CONFIGURATION:
            fields[COMMANDKEY_REPORTED] = app.reported
            fields[COMMANDKEY_PENDING] = (self.step or app.recorder.step) is not None
        elif not isinstance(document, bytes):
            return RESULT_BAD_ARGUMENT
        else:
            self.step = lambda now: __import__("twin").take(app, document, now)
        return RESULT_OK

    # command: function(self, request, fields of the reply) -> result, or a generator of slices that returns it
    _HANDLERS = {
        COMMAND_IDENTIFY: _identify,
        COMMAND_DESCRIBE: _describe,
        COMMAND_ACKNOWLEDGE: _acknowledge,
        COMMAND_PING: _ping,
        COMMAND_SET_TIME: _set_time,
        COMMAND_START: _switch,
        COMMAND_STOP: _switch,
        COMMAND_LOG_LEVEL: _log_level,
        COMMAND_REBOOT: _reboot,
        COMMAND_REPL: _repl,
        COMMAND_UPDATE_BEGIN: _update,
        COMMAND_UPDATE_WRITE: _update,
        COMMAND_UPDATE_STATUS: _update,
        COMMAND_UPDATE_APPLY: _update,
        COMMAND_CONFIGURE: _configure,
        COMMAND_CONFIGURATION: _configure,
    }


def _integer(request, key):
    # MicroPython's bool is no int
    value = request.get(key) if isinstance(request, dict) else None
    if not isinstance(value, int) or value < 0:
        raise ValueError("type")
    return value


def _octets(request, key, size):
    value = request.get(key)
    if not isinstance(value, bytes) or len(value) != size:
        raise ValueError("type")
    return value


def _within(value, least, most):
    return isinstance(value, int) and least <= value <= most


def _ranges(value):
    if not isinstance(value, list) or not 0 < len(value) <= MAX_RANGES:
        return False
    least = 1
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            return False
        first, last = pair
        if not (isinstance(first, int) and isinstance(last, int) and least <= first <= last <= MAX_SEQ):
            return False
        least = last + 2
    return True


def _time(value):
    return (
        isinstance(value, list)
        and len(value) == 3
        and _within(value[0], 0, _LAST)
        and _within(value[1], 0, _LAST)
        and _within(value[2], 0, MAX_ACCURACY)
    )


def _channels(value):
    return (
        isinstance(value, list)
        and 0 < len(value) <= MAX_CHANNELS
        and all(_within(v, 0, MAX_CHANNELS - 1) for v in value)
    )


def _level(value):
    return _within(value, LOGLEVEL_DEBUG, LOGLEVEL_ERROR)


# what an argument must look like; the other commands take none
_ARGUMENTS = {
    COMMAND_ACKNOWLEDGE: _ranges,
    COMMAND_SET_TIME: _time,
    COMMAND_START: _channels,
    COMMAND_STOP: _channels,
    COMMAND_LOG_LEVEL: _level,
}
