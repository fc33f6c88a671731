# Whether the radio of Bluetooth LE starts and shows this board to centrals, by the code that does it in earnest, and
# how many have bonded: one line of JSON. Loaded for `vitalwire board doctor`, where there is such a link.
import json

from micropython import const

from links.bonds import Bonds

_PEER = const(2)  # the kind of secret that a stack keeps of each central


def run(hal, config):
    bonds = Bonds(hal)
    bonded = 0
    while bonds.get(_PEER, bonded, None):
        bonded += 1
    facts = {
        "check": "seen",
        "name": config.device,
        "secret": config.secret is not None,
        "public": config.public_vitals,
        "bonds": bonded,
        "module": False,
        "radio": False,
        "advertises": False,
        "why": "",
    }
    if config.secret:
        _show(hal, config, facts)
    print(json.dumps(facts))


def _show(hal, config, facts):
    try:
        from links.ble import make
    except ImportError:
        return
    facts["module"] = True
    stream = make(hal, config, "")
    try:
        stream.open()
    except (OSError, ValueError) as e:
        facts["why"] = str(e)
        return
    facts["radio"] = True
    facts["advertises"] = stream.advertising  # until the reset that ends a prompt
