/* A disk that is full, or broken: what clients asked for is refused, what must be written
 * waits for room, and what nobody can know ends the store. */
#include "daemon/store/store.h"

#include "tests/support/scratch.h"
#include "tests/support/storing.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

static struct gd_job job;
static struct gd_extent room;
static struct gd_op_submit submit;
static struct gd_op_cancel cancel;
static struct gd_op_patch patch;
static struct gd_op_settle settle;
static struct gd_op_batch_end end;

static void setup(void)
{
    storing_begin();
    job = storing_job();
    submit = storing_submission(&job, 1, 9, 0, NULL, &room);
    cancel =
        (struct gd_op_cancel){.op.kind = GD_OP_CANCEL, .task = 1, .grace_ms = -1, .n_cancels = 1};
    patch = (struct gd_op_patch){.op.kind = GD_OP_PATCH, .task = 1, .set_priority = true};
    settle = (struct gd_op_settle){.op = {.kind = GD_OP_SETTLE, .urgent = true},
                                   .task = 1,
                                   .plain = {.state = GD_SUCCEEDED, .finished_ms = 9}};
    end = (struct gd_op_batch_end){
        .op.kind = GD_OP_BATCH_END, .batch = 1, .is_done = true, .state = GD_SUCCEEDED};
}

static void teardown(void)
{
    storing_end();
}

static void begin(void)
{
    storing_open();
    storing_start();
    storing_batch(1, 1, 2);
    storing.n_done = 0;
}

/* --- full */

START_TEST(a_full_disk_refuses_what_clients_ask_for)
{
    begin();
    storing_break_disk(_i ? SQLITE_NOMEM : SQLITE_FULL, false);
    storing_write(&submit.op);
    storing_write(&cancel.op);
    storing_write(&patch.op);
    storing_wait(3);
    ck_assert_int_eq(submit.op.rc, _i ? -ENOMEM : GD_E_STORE_FULL);
    ck_assert_int_eq(cancel.op.rc, submit.op.rc);
    ck_assert_int_eq(patch.op.rc, submit.op.rc);
    ck_assert_uint_eq(storing.n_failures, 0);
    storing_break_disk(0, false);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM task"), 2);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM cancel"), 0);
    ck_assert_int_eq(storing_commit(&submit.op), 0); /* it goes on by itself */
}

START_TEST(what_must_be_written_waits_for_room)
{
    begin();
    storing_break_disk(SQLITE_FULL, false);
    storing_write(&settle.op);
    storing_write(&submit.op);
    storing_write(&end.op);
    storing_wait(1);
    ck_assert_ptr_eq(storing.done[0], &submit.op); /* refused at once */
    ck_assert_int_eq(submit.op.rc, GD_E_STORE_FULL);
    storing_write(&cancel.op); /* has its own refusal meanwhile */
    storing_wait(2);
    ck_assert_int_eq(cancel.op.rc, GD_E_STORE_FULL);
    storing_break_disk(0, false);
    storing_wait(4);
    ck_assert_ptr_eq(storing.done[2], &settle.op); /* still in order */
    ck_assert_ptr_eq(storing.done[3], &end.op);
    ck_assert_int_eq(settle.op.rc, 0);
    ck_assert_uint_eq(storing.n_failures, 0);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM outcome"), 1);
}

START_TEST(the_end_does_not_wait_for_a_full_disk)
{
    begin();
    storing_break_disk(SQLITE_FULL, false);
    storing_write(&settle.op);
    storing_write(&submit.op);
    storing_wait(1);
    storing_close();
    storing_break_disk(0, false);
    ck_assert_int_eq(storing_number("SELECT count(*) FROM outcome"), 0);
}

/* --- broken */

START_TEST(an_error_of_the_disk_ends_the_store_once)
{
    begin();
    storing_break_disk(_i ? SQLITE_IOERR_FSYNC : SQLITE_IOERR_WRITE, _i != 0);
    storing_write(&settle.op);
    storing_write(&submit.op);
    storing_wait_failure();
    ck_assert_uint_eq(storing.n_failures, 1);
    ck_assert_str_ne(storing.failure, "");
    ck_assert_uint_eq(storing.n_done, 1);       /* told before the failure is */
    ck_assert_int_eq(submit.op.rc, GD_E_STORE); /* not a no: nobody can know */
    storing_break_disk(0, false);
    storing_break_disk(0, true);
    storing_close();
    storing_open(); /* the next one reads what is there */
    storing_start();
    ck_assert_int_eq(storing_number("SELECT integrity_check='ok' FROM pragma_integrity_check"), 1);
    storing_task(20);
}

/* --- files that are not ours */

static int try_to_open(struct gd_err *err)
{
    const struct gd_sqlite_config config = {.path = storing.path};
    struct gd_sqlite *s = NULL;
    int rc = gd_sqlite_open(&storing.loop, &config, &s, err);
    if (rc == 0)
        gd_sqlite_close(s);
    return rc;
}

START_TEST(a_file_that_is_no_database_is_left_alone)
{
    struct gd_err err = {0};
    struct stat st;
    scratch_write("gatherd.db", "this is a text of somebody, and it is long enough to be looked at"
                                " as if it were the head of a database, which it is not at all");
    ck_assert_int_eq(try_to_open(&err), GD_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, storing.path));
    ck_assert_int_eq(stat(storing.path, &st), 0);
    ck_assert_int_eq(st.st_size, 126);
}

START_TEST(the_database_of_another_program_is_left_alone)
{
    struct gd_err err = {0};
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(storing.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE task (x)", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    ck_assert_int_eq(try_to_open(&err), GD_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "not a database of gatherd"));
    ck_assert_int_eq(storing_number("SELECT count(*) FROM sqlite_schema"), 1);
}

START_TEST(the_database_of_a_newer_gatherd_is_left_alone)
{
    struct gd_err err = {0};
    begin();
    storing_close();
    (void)storing_number("PRAGMA user_version = 99");
    ck_assert_int_eq(try_to_open(&err), GD_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "newer"));
    (void)storing_number("PRAGMA user_version = 1");
    ck_assert_int_eq(try_to_open(&err), 0);
}

START_TEST(no_directory_is_an_error_with_words)
{
    struct gd_err err = {0};
    (void)strncat(storing.path, "/none", 8);
    ck_assert_int_eq(try_to_open(&err), GD_E_STORE);
    ck_assert_ptr_nonnull(strstr(err.text, storing.path));
}

START_TEST(a_relaxed_store_keeps_the_same_things)
{
    const struct gd_sqlite_config config = {.path = storing.path, .relaxed = true};
    struct gd_err err = {0};
    ck_assert_int_eq(gd_sqlite_open(&storing.loop, &config, &storing.s, &err), 0);
    storing.store = gd_sqlite_store(storing.s);
    storing_start();
    storing_task(1);
    storing_reopen();
    ck_assert_int_eq(storing_number("SELECT count(*) FROM task"), 1);
}

int main(void)
{
    TCase *tc = tcase_create("core");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add(tc, 2, a_full_disk_refuses_what_clients_ask_for,
              an_error_of_the_disk_ends_the_store_once);
    suite_add(tc, 1, what_must_be_written_waits_for_room, the_end_does_not_wait_for_a_full_disk,
              a_file_that_is_no_database_is_left_alone,
              the_database_of_another_program_is_left_alone,
              the_database_of_a_newer_gatherd_is_left_alone, no_directory_is_an_error_with_words,
              a_relaxed_store_keeps_the_same_things);
    return suite_main("store_fail", tc);
}
