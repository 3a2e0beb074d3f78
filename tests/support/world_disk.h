/* tests/support/world_disk.h — between the parts of world.h; nobody else's. */
#ifndef GD_TESTS_WORLD_DISK_H
#define GD_TESTS_WORLD_DISK_H

#include "base/attr.h"

#include "tests/support/world.h"

/* Notes a word. */
void world_say(const char *fmt, ...) GD_PRINTF(1, 2);

/* The store's functions. */
void world_disk_init(void);

/* Forgets what was written and not committed, and the requests that wait for it. */
void world_ask_drop(void);

/* Puts into world.core what is on disk, and watches all of it. Errors: -ENOMEM. */
GD_MUST_CHECK int world_ask_recover(void);

#endif
