# The radio as a source of noise: without it an ESP32's random numbers are only pseudo-random (its data sheet, "RNG").
import network


def station():
    return network.WLAN(network.STA_IF)


def switch(on):
    wlan = station()
    wlan.active(on)
    return wlan.active()
