/* daemon/store/schema.h — the tables, and how an older file becomes a newer one.
 *
 * PRAGMA user_version counts the steps that a file has seen; opening runs the
 * missing ones in one transaction. PRAGMA application_id says that the file is
 * ours. docs/store.md describes the tables.
 */
#ifndef GD_DAEMON_STORE_SCHEMA_H
#define GD_DAEMON_STORE_SCHEMA_H

#include "base/attr.h"
#include "base/err.h"

struct sqlite3;

#define GD_APPLICATION_ID 0x67617468 /* "gath" */

/* Brings the file up to date. Errors, with words: GD_E_DAMAGED (not ours, of a newer
 * gatherd, or damaged), GD_E_STORE. */
GD_MUST_CHECK int gd_schema_update(struct sqlite3 *db, struct gd_err *err);

#endif
