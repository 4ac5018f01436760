"""Measurements that take hours, too long for claims and tests; they run in pieces, as a file keeps what is finished."""
