# The links: one module a kind, imported only where the configuration's list `links` names it, as "kind" or
# "kind://host:port". Each has make(hal, config, peer), which returns a stream; peer is "host:port" or "". A Link
# (link.py) drives it; hal.stream, the serial port, is one, too. Streams move bytes and know nothing of frames. Each has
#
#   readinto(buffer)   bytes read, 0 or None when there are none
#   write(buffer, n)   bytes taken of the first n, 0 or None when none can be; neither waits, neither raises
#   session            another number once whoever was at the other end is gone: a Link then drops what was under way
#   why                may be missing: why the last session ended, for people
#   step(now)          may be missing. One slice of keeping the connection, called before each slice of the Link, with
#                      real time in microseconds: (kind, units) as a slice of hal.spend, or None. What takes longer than
#                      a FIFO can wait is announced: ("long", 0), and done by the next call. The serial port has none:
#                      there the bytes are watched for those that ask for the prompt
#   gate(now)          where there is a step: None, or what each step asks first. While it says no, the step ends what
#                      there is and turns the radio off; afterwards it begins anew
#
# One that carries messages, each a frame or packets (SPEC.md section 9), has besides
#
#   room               bytes that a Link keeps free in front of what message() is given
#   message(buffer, body, n, type, id, seq)
#                      makes one message of buffer[body:body+n] in place; returns where it begins and ends
#   hail(now)          whether it is time to say something unasked, so that a reader knows of this device
#   ready, stored      whether messages can go out; a function of the number of each frame that was taken, or None
#
# To add a kind: its module here, a line in _LINKS of config.py.
