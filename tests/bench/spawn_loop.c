/* tests/bench/spawn_loop.c — how fast this machine starts commands.
 *
 *   spawn_loop N CONCURRENCY
 *
 * Runs /bin/true N times by posix_spawn(3), CONCURRENCY at once, and waits for each:
 * the least that anything which starts commands has to do. Prints the seconds it took.
 */
#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool start_one(void)
{
    char program[] = "/bin/true";
    char *argv[] = {program, NULL};
    pid_t pid = 0;
    errno = posix_spawn(&pid, program, NULL, NULL, argv, environ);
    return errno == 0;
}

static bool wait_one(void)
{
    int status = 0;
    return wait(&status) > 0 && status == 0;
}

int main(int argc, char **argv)
{
    long n = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    long concurrency = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (n < 1 || concurrency < 1) {
        (void)fprintf(stderr, "usage: spawn_loop N CONCURRENCY\n");
        return 2;
    }
    double start = now();
    for (long started = 0, ended = 0; ended < n; ended++) {
        for (; started < n && started - ended < concurrency; started++)
            if (!start_one()) {
                perror("spawn_loop: posix_spawn");
                return 1;
            }
        if (!wait_one()) {
            (void)fprintf(stderr, "spawn_loop: /bin/true did not succeed\n");
            return 1;
        }
    }
    printf("%.6f\n", now() - start);
    return 0;
}
