# Generated from vitalwire_protocol/spec.py by `python -m vitalwire_tools.codegen`; do not edit.
# What there is to be measured, a line each: name, MDC code or 0, UCUM unit. Only a descriptor needs it.
SIGNALS = (
    "ecg_lead_i 131329 mV\n"
    "ecg_lead_ii 131330 mV\n"
    "ppg_red 150452 1\n"
    "ppg_ir 150452 1\n"
    "accel_x 0 m/s2\n"
    "accel_y 0 m/s2\n"
    "accel_z 0 m/s2\n"
    "temperature_body 150364 Cel\n"
    "temperature_skin 150388 Cel\n"
    "battery 67996 %\n"
    "battery_voltage 0 mV\n"
    "heart_rate 147842 /min\n"
    "pulse_rate 149530 /min\n"
    "spo2 150456 %\n"
    "respiration_rate 151562 /min\n"
)
