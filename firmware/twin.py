# A configuration that has arrived (SPEC.md section 15), at the end of a frame: taken whole, or refused whole. Each step
# loads what it needs and lets go of it, so that a board has the room; what follows waits for the end of the next frame.
import gc

from unload import drop
from wire import (
    CAUSE_CONFIGURATION,
    EVENT_CONFIGURATION_REFUSED,
    EVENTKEY_CAUSE,
    EVENTKEY_SETTING,
    REPORTEDKEY_NEWEST,
    REPORTEDKEY_OUTCOME,
    REPORTEDKEY_SETTING,
    REPORTEDKEY_SETTINGS,
    RESULT_CONFIGURATION_FAILED,
    RESULT_CONFIGURATION_OLD,
    RESULT_NOT_PROVISIONED,
    RESULT_OK,
)


def take(app, document, now):
    # A generator of slices, each yielded as (kind, units), that returns the step to follow or None. It is signed, and
    # this board can take it.
    operator = app.hal.recall("operator")
    if not operator:
        return _judge(app, RESULT_NOT_PROVISIONED, 0, None, now)
    yield from _tidy()
    try:
        from signed import open_configuration
    except MemoryError:
        return _judge(app, RESULT_CONFIGURATION_FAILED, 0, None, now)
    try:
        result, version, settings = yield from open_configuration(document, operator, app.control.thumbprint)
    except MemoryError:
        return _judge(app, RESULT_CONFIGURATION_FAILED, 0, None, now)
    open_configuration = None
    drop("signed", "p256_verify")
    yield from _tidy()
    return _judge(app, result, version, settings, now)


def _judge(app, result, version, settings, now):
    key = 0
    try:
        import values

        if result == RESULT_OK:
            result, key, settings = values.named(app.streams, settings)
    except MemoryError:
        result = RESULT_CONFIGURATION_FAILED
    follows = None
    if result == RESULT_OK:
        follows = lambda now: _keep(app, version, settings, now)  # noqa: E731
    else:
        _tell(app, result, key, now)
    drop("signed", "p256_verify", "values", "settings", "rates", "twin")
    return follows


def _tidy():
    gc.collect()
    yield ("gc", 1)


def _tell(app, result, key, now):
    from values import report

    report(app, {REPORTEDKEY_OUTCOME: result, REPORTEDKEY_SETTING: key})
    if result != RESULT_OK:
        app.report(EVENT_CONFIGURATION_REFUSED, {EVENTKEY_CAUSE: result, EVENTKEY_SETTING: key}, now)


def _keep(app, version, settings, now):
    # It is new: to flash, then in force.
    follows = None
    kept = False
    try:
        import desired

        root = app.hal.files()
        state = desired.load(root)
        last = state.get("next") or state["now"]
        result = RESULT_OK
        if version <= state["newest"]:
            # the same once more changes nothing
            result = RESULT_OK if last[:2] == [version, settings] else RESULT_CONFIGURATION_OLD
        else:
            before = last[1]
            state["newest"] = version
            state["next"] = [version, settings, 0]
            yield from desired.store(root, state)
            kept = True
            desired = state = last = None
            drop("desired")
            yield from _tidy()
            import between
            import values

            settings = values.all_of(root, settings)
            values.report(app, {REPORTEDKEY_NEWEST: version, REPORTEDKEY_SETTINGS: values.numbers(settings)})
            if between.put(app, settings, values.all_of(root, before)):
                follows = lambda now: between.prove(app, now)  # noqa: E731
    except (OSError, MemoryError):
        if kept:
            app.reboot(CAUSE_CONFIGURATION)  # the next start has it, so that has to come
        else:
            result = RESULT_CONFIGURATION_FAILED
    _tell(app, result, 0, now)
    drop("values", "settings", "desired", "between", "twin")
    return follows
