# The hardware as the rest of the firmware sees it: one module per kind of chip, all with exactly these names. Pins,
# buses and partitions are named as in board.py, which is made from the board's board.toml.
#
#   ticks()         microseconds since boot, 64 bit, never wrapping (on ESP32: call it at least every 8 minutes)
#   wall()          the same on a chip; on the virtual board real time, which links wait by
#   files()         the folder with this board's settings, without a slash at its end
#   recall(name)    the bytes, 128 at most, kept under this name apart from files, or None; keep(name, value)
#   i2c(n)          readfrom_mem_into(address, register, buffer), writeto_mem(address, register, buffer);
#                   OSError when nothing answers
#   spi(n, phase)   write_readinto(out, into), clock polarity 0; phase 0 if not given
#   output(pin)     a function of the level, at first 1
#   irq(pin, wakes) take(): ticks of the first falling edge since the last, or -1; seen(): is there one; level().
#                   wakes: whether an edge ends idle()
#   edge()          whether any edge waits to be taken
#   level(pin)      a function that tells a level
#   each(pin)       start(handler): have it called with the microseconds since the last call, between two bytecodes of
#                   whatever runs, at each falling edge; newest(): ticks of the last call; stop()
#   every(n, s)     the same, n times in s seconds
#   adc(pin)        read_uv(): microvolts at the pin
#   idle(until)     sleep until ticks, an interrupt edge or input on the link; may return early
#   spend(kind, n)  says that n units of work were done. Nothing on a chip; the virtual board charges them to its clock.
#                   modmul (256-bit multiplications), bytecode and viper (loop iterations), sha (blocks of 64 bytes),
#                   flash_read and flash_program (bytes), flash_erase (sectors), gc (collections), bus (transfers)
#   enough          bytes of garbage worth a collection, in words of 32 bits
#   partition(name) readblocks(n, buffer, offset), writeblocks(n, buffer, offset) without erase, ioctl(6, n) erase,
#                   ioctl(4, 0) blocks, ioctl(5, 0) bytes of a block
#   spare()         the partition that a whole image may go into, as esp32.Partition has them, or None. Where there is
#                   one: image(), the label of the one that runs; keep_image(), else the other one starts next
#   stream          the serial port, a stream as links/__init__.py says: open() takes the terminal and turns its
#                   interrupt key off, close() gives both back
#   random(n)       n random bytes
#   entropy(on)     turn the radio, whose noise random() needs, on or off; whether random() is fit for keys now
#   station()       the Wi-Fi station as network.WLAN, or None: there is a network without one
#   date(s)         seconds since 1970 by the calendar that TLS goes by, and nothing else; set first, if given
#   unique_id()     bytes that name this chip
#   reset(cause)    start over for this reason, a chip after one fault upon another in 5 s, so that ctrl-C gives the
#                   prompt; reset_cause(): why the last start was, one of wire.CAUSE_*
#   sleep(s)        deep sleep for so many seconds, then a start for CAUSE_DEEP_SLEEP
#   feed()          feed the watchdog, which starts at the first call
#   leave()         give the board to whoever has the prompt: a watchdog that started waits an hour
