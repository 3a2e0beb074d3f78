/* tests/bench/http_load.c — asks an HTTP server again and again, and times it.
 *
 *   http_load [-c CONNECTIONS] [-t SECONDS] [-r RATE] [-d FILE] [-i FIRST-LAST] PORT PATH
 *
 * GETs PATH from 127.0.0.1 on CONNECTIONS keep-alive connections (POSTs the content of
 * FILE, with -d), each with one request at a time, the next as soon as the answer is
 * there. With -r, RATE requests a second on a timetable instead: a time is then counted
 * from when a request was due, so that a server that stalls cannot hide it by being asked
 * less. A {} in PATH is a number of -i, each in turn.
 *
 * Ends after SECONDS or at SIGTERM; SIGUSR1 forgets all times so far. Prints a JSON
 * object: requests, bad (not 2xx), seconds, and p50, p99, max of the times in us.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX      65536
#define REQUEST_MAX     65536
#define CONNECTIONS_MAX 1024
#define NS_A_SECOND     INT64_C(1000000000)

struct connection {
    int fd;
    bool busy;      /* asked, not answered */
    int64_t due_ns; /* when the request was, or is, to be sent */
    size_t n_in;
    char in[ANSWER_MAX + 1];
};

struct load {
    unsigned n_connections;
    double seconds;
    double rate;
    const char *file;
    uint64_t id, first, last;
    char *path;
    struct connection *connections;
    char body[REQUEST_MAX];
    size_t n_body;
    uint32_t *times_us;
    size_t n_times, room;
    size_t n_bad;
    int64_t start_ns;
};

static volatile sig_atomic_t stopped, restarted;

static void on_signal(int signo)
{
    if (signo == SIGUSR1)
        restarted = 1;
    else
        stopped = 1;
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_A_SECOND + t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- one request, one answer */

static void send_request(struct load *l, struct connection *c)
{
    char request[2 * REQUEST_MAX];
    char path[1024];
    const char *mark = strstr(l->path, "{}");
    if (mark) {
        (void)snprintf(path, sizeof(path), "%.*s%llu%s", (int)(mark - l->path), l->path,
                       (unsigned long long)l->id, mark + 2);
        l->id = l->id < l->last ? l->id + 1 : l->first;
    }
    int n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                     l->file ? "POST" : "GET", mark ? path : l->path);
    if (l->file)
        n += snprintf(request + n, sizeof(request) - (size_t)n, "Content-Length: %zu\r\n",
                      l->n_body);
    n += snprintf(request + n, sizeof(request) - (size_t)n, "\r\n%s", l->body);
    c->busy = true;
    c->n_in = 0;
    if (send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        die("http_load: send");
}

/* The status of the answer, once all of it is there; else 0. */
static int status_of(struct connection *c)
{
    c->in[c->n_in] = '\0';
    const char *end = strstr(c->in, "\r\n\r\n");
    const char *length = end ? strcasestr(c->in, "\r\nContent-Length:") : NULL;
    if (!length)
        return 0;
    size_t n = (size_t)(end + 4 - c->in) + strtoul(length + 17, NULL, 10);
    return c->n_in >= n ? (int)strtol(c->in + 9, NULL, 10) : 0;
}

static void keep_time(struct load *l, int64_t ns)
{
    if (l->n_times == l->room) {
        l->room = l->room ? 2 * l->room : 65536;
        l->times_us = realloc(l->times_us, l->room * sizeof(*l->times_us));
        if (!l->times_us)
            die("http_load");
    }
    l->times_us[l->n_times++] = (uint32_t)(ns / 1000);
}

static void receive(struct load *l, struct connection *c)
{
    ssize_t got = recv(c->fd, c->in + c->n_in, ANSWER_MAX - c->n_in, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        die("http_load: the server closed the connection");
    c->n_in += (size_t)got;
    int status = status_of(c);
    if (status == 0)
        return;
    int64_t now = now_ns();
    keep_time(l, now - c->due_ns);
    l->n_bad += status < 200 || status > 299;
    c->busy = false;
    c->due_ns = now;
    if (l->rate > 0) /* on a timetable, from its start on */
        c->due_ns = l->start_ns + (int64_t)((double)l->n_times / l->rate * (double)NS_A_SECOND);
    else
        send_request(l, c);
}

/* --- the loop */

static void connect_all(struct load *l, int epoll, in_port_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    for (unsigned i = 0; i < l->n_connections; i++) {
        struct connection *c = &l->connections[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
            fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
            die("http_load: connect");
    }
}

static void begin(struct load *l)
{
    l->start_ns = now_ns();
    l->n_times = l->n_bad = 0;
    restarted = 0;
    for (unsigned i = 0; i < l->n_connections; i++)
        l->connections[i].due_ns = l->start_ns;
}

/* Sends what is due. How long until the next is, in ns. */
static int64_t send_due(struct load *l)
{
    int64_t now = now_ns();
    int64_t wait = NS_A_SECOND / 10;
    for (unsigned i = 0; i < l->n_connections; i++) {
        struct connection *c = &l->connections[i];
        if (c->busy)
            continue;
        if (c->due_ns <= now)
            send_request(l, c);
        else if (c->due_ns - now < wait)
            wait = c->due_ns - now;
    }
    return wait;
}

static void run(struct load *l, int epoll)
{
    int64_t end = now_ns() + (int64_t)(l->seconds * (double)NS_A_SECOND);
    begin(l);
    while (!stopped && now_ns() < end) {
        if (restarted)
            begin(l);
        int64_t wait = send_due(l);
        struct epoll_event events[CONNECTIONS_MAX];
        struct timespec t = {.tv_nsec = wait};
        int n = epoll_pwait2(epoll, events, CONNECTIONS_MAX, &t, NULL);
        for (int i = 0; i < n; i++)
            receive(l, events[i].data.ptr);
    }
}

/* --- in and out */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print(struct load *l)
{
    size_t n = l->n_times;
    double seconds = (double)(now_ns() - l->start_ns) / (double)NS_A_SECOND;
    if (n > 0)
        qsort(l->times_us, n, sizeof(*l->times_us), by_value);
    printf("{\"requests\": %zu, \"bad\": %zu, \"seconds\": %.6f, "
           "\"p50\": %u, \"p99\": %u, \"max\": %u}\n",
           n, l->n_bad, seconds, n ? l->times_us[n / 2] : 0, n ? l->times_us[n * 99 / 100] : 0,
           n ? l->times_us[n - 1] : 0);
}

static void read_body(struct load *l)
{
    FILE *f = fopen(l->file, "re");
    if (!f)
        die(l->file);
    l->n_body = fread(l->body, 1, sizeof(l->body) - 1, f);
    (void)fclose(f);
}

static bool read_options(struct load *l, int argc, char **argv)
{
    char *dash = NULL;
    for (int c; (c = getopt(argc, argv, "c:t:r:d:i:")) != -1;) {
        switch (c) {
        case 'c':
            l->n_connections = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            l->seconds = strtod(optarg, NULL);
            break;
        case 'r':
            l->rate = strtod(optarg, NULL);
            break;
        case 'd':
            l->file = optarg;
            break;
        case 'i':
            l->id = l->first = strtoull(optarg, &dash, 10);
            l->last = *dash == '-' ? strtoull(dash + 1, NULL, 10) : l->first;
            break;
        default:
            return false;
        }
    }
    return argc - optind == 2 && l->n_connections > 0 && l->n_connections <= CONNECTIONS_MAX;
}

int main(int argc, char **argv)
{
    static struct load l = {.n_connections = 1, .seconds = 3600};
    if (!read_options(&l, argc, argv)) {
        (void)fprintf(stderr, "usage: http_load [-c CONNECTIONS] [-t SECONDS] [-r RATE] "
                              "[-d FILE] [-i FIRST-LAST] PORT PATH\n");
        return 2;
    }
    if (l.file)
        read_body(&l);
    l.path = argv[optind + 1];
    l.connections = calloc(l.n_connections, sizeof(*l.connections));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l.connections || epoll < 0)
        die("http_load");
    struct sigaction act = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGUSR1, &act, NULL);
    connect_all(&l, epoll, (in_port_t)strtoul(argv[optind], NULL, 10));
    run(&l, epoll);
    print(&l);
    return 0;
}
