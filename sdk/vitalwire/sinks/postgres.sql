-- The table of the sink `postgres`. It makes it where it may; else run this once, as a role that may, and grant
-- SELECT and INSERT on it to the gateway's.
CREATE TABLE IF NOT EXISTS vitalwire_frames (
    digest      bytea PRIMARY KEY,     -- SHA-256 of `frame`: a frame delivered twice is here once
    thumbprint  bytea NOT NULL,        -- whose frame: SHA-256 of the device's public key (RFC 9679)
    device      text NOT NULL,         -- what the registry calls it
    kind        smallint NOT NULL,     -- 1 descriptor, 2 data, 3 event, 4 status
    boot        bigint NOT NULL,
    seq         bigint NOT NULL,       -- rises by one over all boots
    time        timestamptz,           -- UTC of the frame's ticks, by the clock fit it was spooled with
    accuracy_us bigint,                -- by which `time` is off at most
    arrived     timestamptz NOT NULL,  -- at the gateway
    trust       text NOT NULL,         -- what proves it: signed, sealed, authentic
    frame       bytea NOT NULL,        -- the signed message itself
    event       jsonb                  -- the same in words, if the sink's form is json
);
CREATE INDEX IF NOT EXISTS vitalwire_frames_order ON vitalwire_frames (thumbprint, seq);
CREATE INDEX IF NOT EXISTS vitalwire_frames_time ON vitalwire_frames (device, time);
