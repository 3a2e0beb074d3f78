#include "tests/support/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char scratch_dir[64];

void scratch_begin(void)
{
    (void)snprintf(scratch_dir, sizeof(scratch_dir), "%s/gatherd-test-XXXXXX", P_tmpdir);
    ck_assert_ptr_nonnull(mkdtemp(scratch_dir));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void scratch_end(void)
{
    ck_assert_int_eq(nftw(scratch_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

const char *scratch_path(const char *name)
{
    static char path[128];
    int n = snprintf(path, sizeof(path), "%s/%s", scratch_dir, name);
    ck_assert_int_lt(n, (int)sizeof(path));
    return path;
}

void scratch_write(const char *name, const char *text)
{
    int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}
