/* tests/bench/sync_loop.c — how fast this disk makes single records durable.
 *
 *   sync_loop FILE SECONDS
 *
 * Appends 256 bytes to FILE and syncs it, again and again: what a server does that
 * syncs once per request. Prints records a second, and removes FILE.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 256

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    double limit = argc == 3 ? strtod(argv[2], NULL) : 0;
    if (limit <= 0) {
        (void)fprintf(stderr, "usage: sync_loop FILE SECONDS\n");
        return 2;
    }
    int fd = open(argv[1], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    char record[RECORD_BYTES];
    memset(record, 'x', sizeof(record));
    long n = 0;
    double start = now();
    double end = start;
    for (; end - start < limit; end = now(), n++)
        if (write(fd, record, sizeof(record)) != RECORD_BYTES || fdatasync(fd) != 0) {
            perror(argv[1]);
            (void)unlink(argv[1]);
            return 1;
        }
    close(fd);
    (void)unlink(argv[1]);
    printf("%.1f\n", (double)n / (end - start));
    return 0;
}
